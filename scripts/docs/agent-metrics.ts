/** What the node agent shows on /metrics. */
import { AgentMetrics } from '../../agent/metrics.ts'

export function agentMetricsText(): Promise<string> {
  return new AgentMetrics(() => ({ protected: 1, reached: 1 })).registry.metrics()
}
