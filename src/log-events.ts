/**
 * Every event that a log line can report: its code, and the meaning that the docs print. The code is stable; the sentence of the line may be
 * reworded. A line carries its code as `event`, and the type `EventLog` refuses a code that is not in this table. Sorted by code.
 */
export const logEvents = {
  'agent.away': 'The node agent has ended the conversation; the sidecar goes on by itself.',
  'agent.called': 'The node agent of the pod’s node has called the sidecar.',
  'agent.failed': 'The node agent cannot run and exits with 1; `error` names the reason.',
  'agent.grown':
    'The node agent patched the memory limit of a container; `became` tells what the kubelet made of it.',
  'agent.listed': 'The node agent has listed what it watches.',
  'agent.metrics_unavailable': 'The node agent could not listen on its port for metrics and health.',
  'agent.not_grown': 'A container was not given more memory; `why` tells the reason.',
  'agent.not_written':
    'The node agent could not write an Event or the condition of a pod; `why` tells the reason.',
  'agent.pod_lost': 'The conversation with the sidecar of a pod has ended; the node agent calls again.',
  'agent.pod_reached': 'The node agent talks with the sidecar of a pod.',
  'agent.pod_refused': 'The sidecar of a pod refuses the conversation; `why` tells the reason.',
  'agent.ready': 'The node agent watches the pods of its node.',
  'agent.stopping': 'The node agent received a signal and exits.',
  'agent.stranger':
    'A process of the pod called the sidecar in the place of the node agent; the connection was closed.',
  'agent.told': 'The node agent has told a sidecar which disruptions stand.',
  'agent.unheard': 'The sidecar cannot listen for the node agent and goes on without it.',
  'agent.watch_failed': 'A watch at the API server ended; the node agent begins it again after `pauseMs`.',
  'api_server.unreachable':
    'The webhook has no access to the API server: it reads neither pull secrets nor `caBundle`.',
  'application.hung':
    'A probe of the application failed: it continues from an older checkpoint, or starts from its beginning.',
  'application.started_afresh':
    'The sidecar restores no checkpoint and lets the application start from its beginning; `rejected` lists the checkpoints passed over.',
  'certificate.current': 'The certs process found nothing to change.',
  'certificate.keep_failed': 'The certs process could not write or publish certificates and tries again.',
  'certificate.keeping': 'The certs process began to watch the certificates.',
  'certificate.reload_deferred':
    'The webhook keeps the old certificate; `error` names why the new one does not fit yet.',
  'certificate.reloaded': 'The webhook serves a new certificate.',
  'certificate.rotated': 'The certs process wrote or published certificates; `changed` lists what.',
  'certs.failed': 'The certs process cannot run and exits with 1; `error` names the reason.',
  'certs.stopped': 'The certs process stopped.',
  'checkpoint.blamed':
    'The application died soon after its restore; the sidecar records `checkpoint` as the cause.',
  'checkpoint.broken_off':
    'The sidecar stopped storing a checkpoint: a more urgent one is asked for, or the work is done.',
  'checkpoint.failed': 'The sidecar took no checkpoint; the application resumes and `err` names the reason.',
  'checkpoint.left_out':
    'Processes that `kubectl exec` or a postStart hook began are not in the checkpoint; the line names them.',
  'checkpoint.listener_failed': 'A listener failed when CRIU had stopped the application.',
  'checkpoint.not_marked':
    'The sidecar could not write the file that tells the launcher whether a checkpoint exists.',
  'checkpoint.not_pruned': 'The sidecar could not remove old checkpoints and tries again after the next one.',
  'checkpoint.passed_over': 'A checkpoint was not used; `reason` and `detail` say why.',
  'checkpoint.staging_kept': 'The scratch files of a checkpoint could not be removed.',
  'checkpoint.taken': 'The sidecar took a checkpoint and it is complete in the store.',
  'clock.behind':
    'The clock of the node is behind the newest instant in the slot; the sidecar uses a later instant.',
  'cloud.clock_differs':
    'The clocks of cloud and machine differ by `aheadMs`; the sidecar moves the deadlines.',
  'cloud.failed': 'The sidecar met an internal error and no longer asks the cloud.',
  'cloud.found': 'The metadata service of a cloud answers.',
  'cloud.hidden': 'A metadata server of the node answers in the cloud’s place and tells no notices.',
  'cloud.lost': 'The metadata service stopped answering; the sidecar looks for it again.',
  'cloud.missing': 'No metadata service answers; the sidecar looks again.',
  'cloud.source_failed': 'One source of the metadata service fails; the sidecar asks it less often.',
  'command.ended': 'A command that the sidecar ran ended; `outcome` says how.',
  'container.effect_failed':
    'The sidecar failed to act on a change of a container because of an internal error.',
  'container.stepped':
    'The state of a container may have changed; `cause` and `effects` say why and what follows.',
  'control.broke': 'A connection to the control socket ended with an error.',
  'files.first_start_not_noted':
    'The start of the container’s first launcher could not be noted, so no file counts as one of this pod’s init containers.',
  'files.not_read_ahead':
    'The names of the container’s files were not read before the freeze; they are read in it, which takes longer.',
  'files.unlisted': 'The names in the container’s file tree could not be listed.',
  'files.volumes_not_noted':
    'The volumes that an application begins on could not be noted; a neighbour’s restore may bring older files there.',
  'guard.failed': 'The guard could not judge a request because of an internal error and denied it.',
  'guard.judged': 'The guard allowed or denied a request that touches a container of Reprieve.',
  'guard.unauthorized':
    'The guard could not ask the API server whether a person is an operator and denied the request.',
  'image.looked_up': 'The webhook asked a registry for the entrypoint of an image.',
  'images.connections':
    'The TCP connections of the application were counted; all but `kept` come back closed.',
  'images.connections_unread':
    'TCP connections inside the application could not be saved and will come back closed.',
  'images.databases_unread': 'The open SQLite databases of the application could not be noted.',
  'images.sockets_closed': 'Unix sockets to neighbour containers were closed in the images.',
  'images.timers_rearmed': 'Timers that had expired were armed again in the images.',
  'images.timers_unread': 'The timers in the images could not be read.',
  'images.watches_unknown': 'The paths of inotify watches could not be found; CRIU looks for them itself.',
  'interval.failed': 'The interval trigger met an internal error and looks again in a minute.',
  'interval.not_measured':
    'How long a periodic checkpoint would stop the application could not be estimated; it is taken.',
  'interval.skipped':
    'The application made no progress since the last checkpoint, so the interval trigger asked for none.',
  'interval.too_long':
    'A periodic checkpoint would stop the application for longer than `maxFreeze` and is not begun.',
  'launcher.connection_failed': 'The connection of a launcher broke; the launcher connects again.',
  'launcher.not_understood':
    'A peer on the socket of the launchers sent a line that the protocol does not have; the sidecar closed the connection.',
  'launcher.refused':
    'A peer claims to be the launcher or the hook of `container` but is not; the sidecar closed the connection.',
  'launcher.strangers':
    'Processes that are neither launchers nor preStop hooks connected to the sidecar; it closed the connections.',
  'leftovers.dump_ended': 'The sidecar ended a dump that an earlier sidecar of the pod began.',
  'leftovers.dump_removed': 'The sidecar removed an incomplete dump of an earlier sidecar of the pod.',
  'leftovers.not_cleared': 'The sidecar could not remove everything that an earlier sidecar left.',
  'leftovers.not_sought': 'The sidecar could not look for dumps of an earlier sidecar.',
  'lineage.end_not_recorded': 'The sidecar could not record that the work is finished and tries once more.',
  'lineage.fenced':
    'Another pod took the lineage from this one; the sidecar stores nothing more, and the application goes on unprotected.',
  'lineage.finished': 'The application exited with 0; the sidecar recorded that its lineage ends.',
  'lineage.life_not_noted':
    'The sidecar could not write down the generation of the application; its checkpoints begin another one.',
  'lineage.not_cleared':
    'The sidecar could not remove the checkpoints of finished work; they are never restored.',
  'lineage.not_left':
    'The sidecar could not say in the store that it writes nothing more; a waiting pod sees it from the silence.',
  'lineage.not_noted':
    'The sidecar could not note its epoch in the pod; after a restart it takes the lineage anew.',
  'lineage.other_work':
    'The newest checkpoint is of other work; `changed` names the difference and `goBack` the annotation that restores it in spite of that.',
  'lineage.other_work_not_recorded':
    'The sidecar could not record that the work began from its beginning; its first checkpoint says so.',
  'lineage.swept':
    'A sweep removed the slot, which nobody had used for the time to live; the sidecar takes it again when it needs it.',
  'lineage.taken_over':
    'The pod that has the lineage gives no sign of life, so this one took the lineage over; `holder` names it.',
  'memory.end_not_begun':
    'A checkpoint that ends the application had not begun in time, so the sidecar removed the throttle.',
  'memory.end_unsaved':
    'The pod was told to end while the application was frozen, and the last checkpoint failed.',
  'memory.exhausted': 'The memory is full and cannot grow; a checkpoint is in the store.',
  'memory.freeze_failed': 'The sidecar could not freeze the application again after another checkpoint.',
  'memory.frozen_too_long':
    'Nothing was done for the full memory in time, so the sidecar thawed the application.',
  'memory.full_again': 'A restored application fills its memory as it did before the checkpoint.',
  'memory.full_meanwhile':
    'The memory is full while another checkpoint is under way, so none was begun for it.',
  'memory.grown': 'The memory limit of the container was raised in place.',
  'memory.grown_late': 'A resize that was refused before succeeded.',
  'memory.grown_meanwhile': 'Somebody raised the memory limit while the application was frozen.',
  'memory.late_save_failed': 'A later try to save a full memory met an internal error.',
  'memory.need_not_recorded': 'The raised limit could not be recorded in the store; the sidecar tries again.',
  'memory.partly_frozen': 'A part of the application could not be frozen; the sidecar goes on without.',
  'memory.release_failed': 'The sidecar could not remove the throttle.',
  'memory.rescheduled':
    'The application was ended with a checkpoint, so that its replacement gets more memory.',
  'memory.retry_failed': 'A later try to raise the memory limit met an internal error.',
  'memory.saved': 'The memory is full and a checkpoint of it is in the store.',
  'memory.still_refused': 'A resize that was refused before was refused again.',
  'memory.thaw_delayed': 'The cgroup that an earlier sidecar may have left frozen cannot be mounted yet.',
  'memory.thaw_failed': 'The sidecar could not thaw the application.',
  'memory.thawed': 'The sidecar thawed an application that an earlier sidecar had left frozen.',
  'memory.throttle_failed': 'The sidecar could not set the throttle (`memory.high`) again.',
  'memory.throttle_raised':
    'The application stalls on file pages without filling its memory, so the sidecar raised the throttle.',
  'memory.unread': 'The sidecar could not read the memory cgroup of the container.',
  'memory.unsaved': 'The memory is full and the checkpoint failed; `why` names the cause.',
  'memory.unwatched': 'The watch of a container’s memory could not begin; the sidecar tries again.',
  'memory.unwatched_events':
    'The kernel gives no watch for `memory.events`; the sidecar reads it from time to time.',
  'memory.watched': 'The watch of a container’s memory began.',
  'next_pid.unset':
    'The sidecar could not choose the next process number; a restore may find its numbers in use.',
  'node_memory.failed': 'A checkpoint for a node that is about to evict failed; `detail` says why.',
  'node_memory.pressed': 'The node is about to evict, so the sidecar takes checkpoints.',
  'node_memory.relieved': 'The node is no longer about to evict.',
  'node_memory.unread': 'The memory of the node could not be read; the sidecar reads it again.',
  'notice.answered': 'The sidecar carries out the plan for a notice; `answer` and `plan` say what.',
  'notice.changed': 'A source changed what it had announced.',
  'notice.end_overdue':
    'The announced end did not come; the line says what became of the container that was kept open for it.',
  'notice.failed': 'The sidecar met an internal error while it answered a notice.',
  'notice.heard': 'A source announced something new.',
  'notice.unreadable': 'A file in the folder of notices is no notice; `why` names what is wrong.',
  'notice.waiting': 'A notice asks for a checkpoint of an application that does not run yet.',
  'notice.withdrawn': 'A source no longer announces it.',
  'notice_folder.unread': 'The folder of notices could not be read; the sidecar reads it again.',
  'notice_folder.unwatched':
    'The kernel gives no watch for the folder of notices; the sidecar reads it from time to time.',
  'prestop.failed': 'The sidecar met an internal error while it took the last checkpoint.',
  'request.refused': 'The webhook answered a request with an HTTP error.',
  'restore.address_changed': 'A socket of the checkpoint is bound to the new pod’s address.',
  'restore.affinity_unset':
    'Threads whose processors this machine does not have, or the pod may not use, run on all that it may.',
  'restore.attributes_lost':
    'Processes or threads were restored with other attributes than they had; `lost` names each.',
  'restore.cluster_file_changed':
    'A file of a config map, secret or projected volume changed since the checkpoint.',
  'restore.completed': 'The application runs on from the checkpoint that the line names.',
  'restore.connections': 'TCP connections of the checkpoint go on (`kept`) or come back closed (`closed`).',
  'restore.damaged': 'A checkpoint could not be fetched whole; the next older one is tried.',
  'restore.databases_fitted':
    'The device and inode of open SQLite databases were changed in the memory of the application.',
  'restore.databases_unfitted':
    'The memory of the application could not be changed; SQLite may refuse to write to an open database.',
  'restore.death_not_recorded':
    'An early death could not be recorded in the store; this pod passes the checkpoint over.',
  'restore.draft_failed': 'The store gave no draft folder, so the checkpoint is copied.',
  'restore.earlier_undo_failed':
    'Files of a restore that an earlier sidecar had not finished are left in the container.',
  'restore.earlier_undone':
    'The sidecar removed the files of a restore that an earlier sidecar had not finished.',
  'restore.failed':
    'A checkpoint could not be restored; the sentence says whether the container ended with it.',
  'restore.fetched': 'A checkpoint was fetched from the store, and every byte compared.',
  'restore.fetched_kept': 'A fetched checkpoint could not be removed from staging.',
  'restore.filters_added':
    'The container has other seccomp filters than a checkpoint; its processes get those of the container.',
  'restore.killed':
    'The container was killed during a restore; the sidecar records `checkpoint` as the cause.',
  'restore.locks_unset': 'Record locks of a restored process could not be set again.',
  'restore.not_marked': 'The file that tells the application of its restore could not be written.',
  'restore.note_failed': 'The note of a restore in progress could not be removed.',
  'restore.nothing_kept':
    'The store holds no checkpoint that fits; the application starts from its beginning.',
  'restore.number_lost':
    'A neighbour took a process number that the checkpoint needs during the restore, which is tried again.',
  'restore.preparation_failed':
    'The sidecar could not prepare a restore; the application starts from its beginning.',
  'restore.retried':
    'A trouble that may pass stands in the way of a restore; the sidecar tries the same again after `pauseMs`, while `leftMs` lasts.',
  'restore.tail_kept':
    'A failed restore could not join a moved tail to its file again; `err` names the tail.',
  'restore.tail_moved':
    'The application’s own append to a file on a lasting volume was moved to a file beside it.',
  'restore.undo_failed': 'Files or processes of a failed restore are left in the container.',
  'restore_init.failed': 'The restore init container failed; the pod starts without its work.',
  'review.answered': 'The webhook decided about a pod; `outcome` and `reasons` say what and why.',
  'review.failed_open':
    'The webhook admitted a pod unprotected because of an internal error or a passed deadline.',
  'review.unreadable': 'A request to the webhook is not an AdmissionReview that this version reads.',
  'sidecar.ready': 'The sidecar accepts the connections of the launchers.',
  'sidecar.stopping': 'The sidecar received a signal, completes what is under way and then exits.',
  'signal.not_passed_on': 'The sidecar could not send a signal to the application for its launcher.',
  'slot.not_listed': 'The sidecar could not list the slot and trusts the clock of the node.',
  'slot.unclaimed': 'The slot could not be claimed, because the store cannot be written.',
  'slot_lock.busy':
    'Another pod has the lock of the slot while the application runs here; `holder` names it.',
  'slot_lock.lost':
    'The process that has the slot lock ended; the sidecar takes the lock again when it needs it.',
  'slot_lock.not_signed': 'The sidecar could not write its name into the file of the slot lock.',
  'slot_lock.unavailable':
    'The store cannot lock; a replacement waits for the silence of a pod that died without a word.',
  'slot_record.put_aside':
    'The record of a slot is damaged; the sidecar keeps it under `keptAs` and starts an empty one.',
  'slot_record.unreadable': 'The record of a slot is damaged and could not be renamed; an empty one is used.',
  'status.failed': 'The status server reported an error; it may not accept connections any more.',
  'status.unanswered': 'The sidecar answered a status request with 500 because of an internal error.',
  'status.unavailable': 'The sidecar could not listen on the status port and runs without it.',
  'store.leftovers_kept': 'Drafts of writers that died could not be removed from the store.',
  'store.not_swept': 'The sidecar could not sweep its namespace in the store; it tries again in an hour.',
  'store.partial_left':
    'The sidecar could not remove the incomplete files of a failed checkpoint; a later prune removes them.',
  'store.swept':
    'A sweep removed lineages whose time to live is over, or that are too many bytes; `swept` lists them.',
  'tools.installed': 'The restore init container copied the tools to the shared volume.',
  'tools.missing': 'The image lacks tools that a checkpoint needs; the applications run unprotected.',
  'trust.established': 'The API servers trust the certificate that the webhook serves.',
  'trust.missing':
    'The API servers do not trust the certificate that the webhook serves; the replica is not ready.',
  'trust.unread':
    'The webhook could not read the `caBundle` of its configurations; the last known state holds.',
  'trust.unverified': 'The webhook could not verify the certificate that it serves.',
  'webhook.failed': 'The webhook cannot run and exits with 1; `error` names the reason.',
  'webhook.listening': 'The webhook accepts connections on the ports that the line names.',
  'webhook.overloaded':
    'The webhook refused requests with 503; `requests` counts them since the last such line.',
  'webhook.stopped': 'The webhook closed its last connection.',
  'webhook.stopping': 'The webhook received a signal, answers what is under way and then stops.',
} as const

export type LogEvent = keyof typeof logEvents
