/** Timers. Counterpart of include/trace/events/timer.h. Expiries are jiffies, or ns for hrtimers. */
import { Tracepoint } from '#kernel/tracepoint.ts';

export class TimerEvents {
  readonly timerStart: Tracepoint<[timer: object, expires: number]> = new Tracepoint(
    'timer:timer_start',
  );
  readonly timerExpireEntry: Tracepoint<[timer: object, now: number]> = new Tracepoint(
    'timer:timer_expire_entry',
  );
  readonly timerExpireExit: Tracepoint<[timer: object]> = new Tracepoint('timer:timer_expire_exit');
  readonly timerCancel: Tracepoint<[timer: object]> = new Tracepoint('timer:timer_cancel');
  readonly hrtimerStart: Tracepoint<[hrtimer: object, expiresNs: number]> = new Tracepoint(
    'timer:hrtimer_start',
  );
  readonly hrtimerExpireEntry: Tracepoint<[hrtimer: object, nowNs: number]> = new Tracepoint(
    'timer:hrtimer_expire_entry',
  );
  readonly hrtimerExpireExit: Tracepoint<[hrtimer: object]> = new Tracepoint(
    'timer:hrtimer_expire_exit',
  );
  readonly hrtimerCancel: Tracepoint<[hrtimer: object]> = new Tracepoint('timer:hrtimer_cancel');
}
