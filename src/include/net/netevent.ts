/** Events of the neighbour tables and of routes. Counterpart of include/net/netevent.h. */

/** @kernel netevent_notif_type include/net/netevent.h */
export const NETEVENT_NEIGH_UPDATE = 1;
export const NETEVENT_REDIRECT = 2;
export const NETEVENT_DELAY_PROBE_TIME_UPDATE = 3;
