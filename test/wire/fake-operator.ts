import type {
  AlarmView,
  CommandView,
  CommissionNote,
  ConsoleView,
  HistoryPoint,
  MachineView,
  MeterView,
  OperatorPort,
  OperatorRequest,
  Preview,
  SignalView,
  WhyView,
} from '../../protocols/console/view.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Mode } from '../../protocols/reading.ts';

/** A scripted controller for console tests: holds a view, lets the test change it, records what was asked. */
export class FakeOperator implements OperatorPort {
  readonly asked: { readonly what: string; readonly actor: string; readonly input: unknown }[] = [];
  status: 'starting' | 'ok' | 'degraded' = 'ok';
  points: HistoryPoint[] = [];
  meterViews: readonly MeterView[] = [];
  previews = new Map<string, { readonly preview: Preview; readonly request: OperatorRequest }>();
  executed = 0;
  #view: ConsoleView;
  readonly #handlers = new Set<() => void>();

  constructor(view: ConsoleView) {
    this.#view = view;
  }

  get watched(): number {
    return this.#handlers.size;
  }

  /** Replaces parts of the view and says so. */
  change(parts: Partial<ConsoleView>): void {
    this.#view = { ...this.#view, ...parts };
    for (const handler of this.#handlers) handler();
  }

  changeMachines(edit: (machine: MachineView, at: number) => MachineView): void {
    this.change({ machines: this.#view.machines.map(edit) });
  }

  tick(atMs: number): void {
    this.change({ site: { ...this.#view.site, atMs } });
  }

  view(): ConsoleView {
    return this.#view;
  }

  history(): readonly HistoryPoint[] {
    return this.points;
  }

  onChange(handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  why(machine: string): WhyView {
    const found = this.#view.machines.find((entry) => entry.id === machine);
    if (found === undefined) throw new Fault('OPERATOR_REFUSED', `no machine ${machine}`);
    return {
      machine,
      mode: found.mode,
      wanted: found.wanted,
      owner: found.owner,
      rule: 'price above breakeven',
      text: `${machine} is kept ${found.mode ?? 'unknown'} because power costs more than it earns.`,
      untilMs: this.#view.site.atMs + 900_000,
      inputs: [
        { label: 'price', value: '92.40 $/MWh' },
        { label: 'breakeven', value: '81.10 $/MWh' },
      ],
      release: 'a price below 81.10 $/MWh, or a manual hold',
    };
  }

  preview(request: OperatorRequest, actor: string): Preview {
    this.asked.push({ what: 'preview', actor, input: request });
    const scope = new Set(request.scope);
    const machines = this.#view.machines.filter(
      (machine) => scope.has(machine.id) || scope.has(machine.rack) || scope.has(this.#view.site.id),
    );
    if (machines.length === 0)
      throw new Fault('OPERATOR_REFUSED', `nothing is called ${request.scope.join(', ')}`);
    const previewId = `p${this.previews.size + 1}`;
    const preview: Preview = {
      previewId,
      hash: `hash-of-${previewId}`,
      machines: machines.map((machine) => machine.id),
      deltaKw: machines.reduce((sum, machine) => sum - (machine.powerW ?? 0) / 1_000, 0),
      usdPerHour: -1.25 * machines.length,
      conflicts: machines.some((machine) => machine.owner === 'lockout')
        ? ['a lockout stands on some of these']
        : [],
      expiresAtMs: this.#view.site.atMs + 60_000,
    };
    this.previews.set(previewId, { preview, request });
    return preview;
  }

  async execute(
    input: { readonly previewId: string; readonly hash: string; readonly key: string },
    actor: string,
  ): Promise<{ readonly commandId: string }> {
    this.asked.push({ what: 'execute', actor, input });
    const found = this.previews.get(input.previewId);
    if (found === undefined || found.preview.hash !== input.hash)
      throw new Fault('OPERATOR_REFUSED', 'no such preview');
    this.executed += 1;
    const command: CommandView = {
      id: `c${this.executed}`,
      owner: `manual: ${actor}`,
      text: `${found.request.action} ${found.request.scope.join(', ')} — ${found.request.reason}`,
      atMs: this.#view.site.atMs,
      state: 'sent',
      machines: found.preview.machines.length,
      acknowledged: 0,
      observed: 0,
      failed: 0,
      expectedKw: found.preview.deltaKw,
      measuredKw: null,
    };
    this.change({ commands: [command, ...this.#view.commands] });
    return { commandId: command.id };
  }

  acknowledge(alarmId: string, actor: string): void {
    this.asked.push({ what: 'acknowledge', actor, input: alarmId });
    this.change({
      alarms: this.#view.alarms.map((alarm) =>
        alarm.id === alarmId ? { ...alarm, acknowledgedBy: actor } : alarm,
      ),
    });
  }

  async agree(input: string, value: number, actor: string): Promise<void> {
    this.asked.push({ what: 'agree', actor, input: { input, value } });
    this.change({ signals: this.#view.signals.map((signal) => ({ ...signal, waits: null })) });
  }

  async agreeMeter(
    word: Parameters<OperatorPort['agreeMeter']>[0],
    actor: string,
  ): Promise<{ commandId: string }> {
    if (!this.#view.alarms.some(({ subject }) => subject === word.meter))
      throw new Fault('AGREE_REFUSED', `nothing stands against ${word.meter}`);
    this.asked.push({ what: 'agreeMeter', actor, input: word });
    return { commandId: 'op-1-1' };
  }

  meters(): readonly MeterView[] {
    return this.meterViews;
  }

  async commissioning(note: CommissionNote, actor: string): Promise<void> {
    this.asked.push({ what: 'commissioning', actor, input: note });
  }

  health(): ReturnType<OperatorPort['health']> {
    return { status: this.status, site: this.#view.site.id, controller: {}, agents: {}, broker: {} };
  }
}

/** A small site: `racks` racks of `perRack` machines, every third rack of GPU hosts. */
export function siteView(options: {
  readonly racks: number;
  readonly perRack: number;
  readonly atMs: number;
}): ConsoleView {
  const machines = Array.from({ length: options.racks * options.perRack }, (_, at) =>
    machineView(Math.floor(at / options.perRack) + 1, (at % options.perRack) + 1, options.atMs),
  );
  const powerW = machines.reduce((sum, machine) => sum + (machine.powerW ?? 0), 0);
  const rackIds = [...new Set(machines.map((machine) => machine.rack))];
  const capKw = Math.ceil((options.racks * options.perRack * 4.5) / 100) * 100;
  const node = (id: string, kind: string, parent: string | null, members: readonly MachineView[]) => ({
    id,
    kind,
    parent,
    capKw: Math.ceil(members.length * 4.5),
    powerW: members.reduce((sum, machine) => sum + (machine.powerW ?? 0), 0),
    powerFrom: 'meter' as const,
    reporting: members.filter((machine) => machine.mode !== null).length,
    expected: members.length,
  });
  return {
    site: {
      id: 'delta',
      name: 'Delta Flats',
      atMs: options.atMs,
      authority: 'automatic',
      underControl: true,
      powerW,
      powerFrom: 'meter',
      capKw,
      limitKw: capKw,
      limitFrom: 'cap of the site',
      planKw: powerW / 1_000 - 4,
      priceUsdPerMwh: 47.31,
      priceQuality: 'good',
      hashpriceUsdPerPhDay: 47.9,
      hashrateHs: 1.84e16,
      asicKw: powerW / 1_500,
      gpuKw: powerW / 3_000,
      solarKw: 41,
      usdPerHour: 38.42,
      reporting: machines.filter((machine) => machine.mode !== null).length,
      expected: machines.length,
    },
    nodes: [
      node('delta', 'site', null, machines),
      ...rackIds.map((id) =>
        node(
          id,
          'rack',
          'delta',
          machines.filter((machine) => machine.rack === id),
        ),
      ),
    ],
    machines,
    signals: [],
    commands: [],
    alarms: [],
    agents: [{ id: 'agent-1', phase: 'live', atMs: options.atMs, spooled: 0, host: null }],
  };
}

function machineView(rack: number, place: number, atMs: number): MachineView {
  const gpu = rack % 3 === 0;
  const kinds: readonly (Mode | null)[] = gpu
    ? ['ai', 'ai', 'ai', 'ai', 'idle', 'mine', 'ai']
    : ['mine', 'mine', 'mine', 'mine', 'mine', 'sleep', 'mine', 'mine', 'mine', 'mine', 'off', 'mine', null];
  const mode = kinds[(rack * 5 + place * 3) % kinds.length] ?? null;
  const powerW = { off: 0, sleep: 15, mine: gpu ? 2_100 : 3_420 + ((place * 37) % 90), ai: 5_600, idle: 900 };
  return {
    id: `${gpu ? 'g' : 'r'}${rack}-${String(place).padStart(2, '0')}`,
    rack: `${gpu ? 'g' : 'r'}${rack}`,
    model: gpu ? 'HGX H100' : 'S21',
    kind: gpu ? 'gpu-host' : 'asic',
    mode,
    wanted: mode ?? 'mine',
    stage: mode === null ? 'unknown' : (rack + place) % 17 === 0 ? 'sent' : 'steady',
    owner: mode === 'sleep' ? 'price' : 'plan',
    powerW: mode === null ? null : powerW[mode],
    ratedW: gpu ? 10_200 : 3_600,
    hashrateHs: mode === 'mine' && !gpu ? 2e14 : null,
    temperatureC: mode === null ? null : 58 + (place % 9),
    boards: null,
    atMs: mode === null ? null : atMs,
  };
}

/** A utility limit as the banner shows it. */
export function limitSignal(atMs: number): SignalView {
  return {
    id: 'vtn-7',
    kind: 'limit',
    source: 'utility',
    text: 'limit 400 kW, level 2, from the utility',
    quality: 'good',
    sinceMs: atMs,
    untilMs: atMs + 3_600_000,
    waits: null,
  };
}

export function alarmOf(id: string, atMs: number, priority: AlarmView['priority'] = 'medium'): AlarmView {
  return {
    id,
    code: 'COMMAND_IGNORED',
    subject: 'r1-04',
    text: 'r1-04 accepted sleep and still draws 3.4 kW',
    next: 'restart the machine or switch its outlet; load was taken elsewhere meanwhile',
    priority,
    sinceMs: atMs,
    acknowledgedBy: null,
  };
}
