/** What each source of a cloud announces, for the documentation. How often it is asked stands with its cloud, in `watches`. */
export const cloudSources: Readonly<Record<string, { announces: string; waits?: true }>> = {
  'aws/instance-action': {
    announces: "a spot instance's end, two minutes ahead: `terminate`, `stop` or `hibernate`",
  },
  'aws/rebalance': { announces: 'an elevated risk of interruption' },
  'aws/target-lifecycle-state': {
    announces: 'what the auto-scaling group is about to do; lifecycle hooks decide when',
  },
  'aws/scheduled': { announces: 'maintenance, days ahead; only events that are `active`' },
  'gcp/preempted': { announces: 'the preemption, 30 s ahead', waits: true },
  'gcp/maintenance-event': {
    announces: 'live migration or termination for host maintenance, 60 s ahead',
    waits: true,
  },
  'azure/scheduledevents': {
    announces: 'events that name this machine; the sidecar never acknowledges them',
  },
}
