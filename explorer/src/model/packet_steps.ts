/** The steps of the selected packet, and the one that is looked at: shared by journey and microscope. */
import { createMemo, createResource, onCleanup, onMount } from 'solid-js';
import type { Journey, StepInfo } from '../protocol.ts';
import { isCovered, isPageKey } from './keys.ts';
import type { Store } from './store.ts';

export interface PacketSteps {
  readonly journey: () => Journey | null;
  readonly steps: () => readonly StepInfo[];
  /** Index of the present step: the chosen one, or the last before the moment. */
  readonly present: () => number;
  readonly go: (index: number) => void;
}

export function usePacketSteps(store: Store): PacketSteps {
  const { state } = store;
  const [journey] = createResource(
    () => ({ id: state.packet, steps: state.packetInfo?.steps ?? 0 }),
    ({ id }) => (id === 0 ? Promise.resolve(null) : store.client.call('journey', { id })),
  );
  const latest = (): Journey | null => {
    const value = journey.latest ?? null;
    return value !== null && value.packet.id === state.packet ? value : null;
  };
  const steps = (): readonly StepInfo[] => latest()?.steps ?? [];
  const present = createMemo(() => {
    const list = steps();
    const chosen = list.findIndex(({ n }) => n === state.step);
    if (chosen >= 0) return chosen;
    let at = -1;
    list.forEach((step, i) => {
      if (step.timeNs <= store.moment()) at = i;
    });
    return Math.max(0, at);
  });
  const go = (index: number): void => {
    const step = steps()[Math.max(0, Math.min(steps().length - 1, index))];
    if (step === undefined) return;
    store.setPlaying(false);
    store.setStep(step.n);
    void store.seek(step.timeNs);
  };
  onMount(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (!isPageKey(event) || isCovered()) return;
      if (event.key === 'ArrowRight' || event.key === 'ArrowDown') go(present() + 1);
      else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') go(present() - 1);
      else if (event.key === 'Home') go(0);
      else if (event.key === 'End') go(steps().length - 1);
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', onKey);
    onCleanup(() => window.removeEventListener('keydown', onKey));
  });
  return { journey: latest, steps, present, go };
}
