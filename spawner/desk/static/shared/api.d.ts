// The API's requests and answers, made from the OpenAPI document, which describes them, by
//   python -m tests.javascript.api_types

export type AcceleratorView = {
  name: string;
  count: number;
  memory_bytes: number;
};

export type AccountView = {
  id: string;
  provider: string;
  account_id: string;
  ending: string;
  state: string;
  state_text: string;
  problem: string | null;
  url: string;
};

export type Activity = "working" | "present" | "waiting" | "idle";

export type ActivityView = {
  working: number;
  present: number;
  waiting: number;
  idle: number;
};

export type AdminFlavorView = {
  id: string;
  title: string;
  running: number;
  starting: number;
  stopping: number;
  queued: number;
  oldest_seconds: number | null;
  slots: SlotsView;
  reason: string | null;
  user_namespaces: UserNamespacesView | null;
  paused: SetView | null;
  targets: TargetView[];
  day: DayView;
  audience?: string | null;
  less_room?: string | null;
  activity?: ActivityView | null;
};

export type AdminRunView = {
  instance_type: string;
  id: string;
  user: string;
  account_ending: string;
  provider: string;
  region: string;
  state: string;
  state_text: string;
  created_at: string;
  stops_at: string | null;
  alarms: string[];
};

export type AdminState = {
  user: UserView;
  steward: boolean;
  drain: DrainView | null;
  flavors: AdminFlavorView[];
  images: NamedView[];
  plans: PlanView[];
  ignored: IgnoredView[];
  now: string;
};

export type AllowanceView = {
  class: string;
  title: string;
  total_seconds: number | null;
  used_seconds: number;
  held_seconds: number;
  left_seconds: number | null;
  resets_at: string;
  weight: number;
};

export type AllowancesView = {
  classes: AllowanceView[];
};

export type AnnouncementAnswer = {
  announcement: AnnouncementView | null;
};

export type AnnouncementChange = {
  en?: string;
  zh?: string;
  begins?: string | null;
  ends: string;
};

export type AnnouncementView = {
  id: string;
  text: string;
  until: string;
};

export type AnswerRequest = {
  id: string;
  answer: "still_here" | "dismissed";
};

export type BackOffView = {
  failures: number;
  until: string;
  reason: string;
  details: string;
};

export type BanChange = {
  code?: BanCode;
  days?: number | null;
  for_good?: boolean;
  evidence?: string;
  note?: string;
  appeal?: string;
};

export type BanCode = "mining" | "attack" | "spam" | "evasion" | "other";

export type BanView = {
  id: string;
  code: BanCode;
  reason: string;
  evidence: string;
  note: string;
  appeal: string;
  by: string;
  at: string;
  until: string | null;
  lifted_by: string | null;
  lifted_at: string | null;
  holds: boolean;
};

export type BundleView = {
  id: string;
  state: "making" | "kept" | "failed";
  made_at: string;
  expires_at: string;
  files: number | null;
  bytes: number | null;
  fetched_at: string | null;
  text: string;
  url: string | null;
};

export type ChangedFileView = {
  path: string;
  bytes: number;
  is_new: boolean;
};

export type ChangesView = {
  known: boolean;
  count: number;
  bytes: number;
  is_complete: boolean;
  files: ChangedFileView[];
  files_url: string | null;
};

export type ClassView = {
  trust: "new" | "known" | "trusted";
  text: string;
};

export type CloudView = {
  id: string;
  title: string;
  regions: string[];
  linkable: boolean;
};

export type ConsentView = {
  instance_type: string;
  id: string;
  kind: string;
  state: string;
  state_text: string;
  provider: string;
  account_id: string;
  region: string;
  price: string;
  currency: string;
  unit: string;
  cap: string;
  run_seconds: number;
  idle_seconds: number | null;
  read_at: string;
  offered_at: string;
  expires_at: string;
  accepted_at: string | null;
  spent_at: string | null;
  text: string;
  text_version: number;
  text_hash: string;
  language: string;
  demo: boolean;
};

export type ConsentsView = {
  consents: ConsentView[];
};

export type DayView = {
  warm: PercentilesView;
  cold: PercentilesView;
  waits: PercentilesView;
  hours: HourView[];
  foretold: EstimateAccuracyView;
  failures: FailureView[];
};

export type DefaultsView = {
  flavor: string;
  image: string;
};

export type DownloadView = {
  models: string[];
  bytes: number;
  seconds: number | null;
};

export type DrainChange = {
  at?: string | null;
  reason?: string;
};

export type DrainView = {
  by: string;
  at: string;
  ends_all_at: string | null;
  reason: string;
};

export type EmptyCommand = {
};

export type EmptyRequest = {
};

export type EndReason = "stopped" | "cancelled" | "deadline" | "crashed" | "out_of_memory" | "out_of_disk" | "evicted" | "no_room" | "no_image" | "start_failed" | "lost" | "superseded" | "shutdown" | "orphaned" | "surplus" | "not_collected" | "maintenance" | "banned" | "guard" | "shut_down" | "idle" | "restarted" | "switched" | "administrator";

export type EndView = {
  state: "starting" | "running" | "stopping" | "ended";
  reason: string;
  text: string;
  ended_at: string | null;
  next_state: "starting" | "running" | null;
  desk_url: string;
  restart_url: string;
};

export type EndingView = {
  title: string;
  text: string;
};

export type ErrorAnswer = {
  error: ErrorBody;
};

export type ErrorBody = {
  code: string;
  message: string;
  next: string;
  details?: string;
  facts?: ErrorFacts | null;
};

export type ErrorFacts = {
  flavor?: string | null;
  image?: string | null;
  groups?: string[];
  class?: string | null;
  left_seconds?: number | null;
  held_seconds?: number | null;
  resets_at?: string | null;
  free_flavors?: string[];
};

export type EstimateAccuracyView = {
  within: number;
  shorter: number;
  longer: number;
};

export type ExampleView = {
  id: string;
  title: string;
  summary: string;
  path: string;
  image: string;
  seconds: number;
  icon: string;
  available: boolean;
  reason: string | null;
  needs: NeedsView;
  fits: string[];
  download: DownloadView | null;
  remedy?: string | null;
  for_you?: boolean;
};

export type ExportView = {
  schema: string;
  freepool: string;
  exported_at: string;
  person: string;
  tables: Record<string, Record<string, unknown>[]>;
};

export type ExtendRequest = {
  number?: number | null;
};

export type ExtensionView = {
  possible: boolean;
  seconds: number;
  left: number;
  number: number;
  reason: "no_hours" | "others_wait" | "used_up" | "policy" | "maintenance" | "not_running" | null;
  text: string;
};

export type FailureView = {
  reason: string;
  text: string;
  count: number;
  next?: string;
};

export type FlavorAllowanceView = {
  class: string;
  title: string;
  total_seconds: number | null;
  used_seconds: number;
  held_seconds: number;
  left_seconds: number | null;
  resets_at: string;
  weight: number;
  blocks: boolean;
  instead: string[];
};

export type FlavorChange = {
  flavor: string;
};

export type FlavorView = {
  id: string;
  title: string;
  summary: string;
  cpu: number;
  memory_bytes: number;
  disk_bytes: number;
  accelerator: AcceleratorView | null;
  session_seconds: number;
  available: number;
  warm: number;
  in_line: number;
  queue: boolean;
  wait_seconds: [number, number] | null;
  reason: string | null;
  remedy?: string | null;
  for_you?: boolean;
  allowance?: FlavorAllowanceView | null;
};

export type FloorChange = {
  flavor: string;
  image: string;
  slots: number | null;
};

export type FloorView = {
  by: string;
  at: string;
  slots: number;
};

export type ForgetView = {
  texts: string[];
  refusals: string[];
};

export type FreeAnswer = {
  flavors: FreeView[];
};

export type FreeView = {
  id: string;
  text: string;
  is_free: boolean;
};

export type HistoryGrant = {
  class: string;
  class_title: string;
  seconds: number | null;
  valid_from: string;
  valid_until: string;
  source: "policy" | "float" | "refund" | "admin" | "grace";
  source_text: string;
  run: string | null;
  reason: string;
  by: string | null;
  at: string;
};

export type HistoryGrants = {
  grants: HistoryGrant[];
};

export type HistoryPage = {
  runs: HistoryRun[];
  next: string | null;
};

export type HistoryRun = {
  id: string;
  user: string;
  server: string;
  state: "starting" | "running" | "stopping" | "ended";
  flavor: string;
  flavor_title: string;
  image: string;
  image_title: string;
  requested_at: string;
  usable_at: string | null;
  ended_at: string | null;
  reason: string | null;
  reason_text: string | null;
  extended_seconds: number;
  use: RunUse | null;
};

export type HourView = {
  begins: string;
  came: number;
  waited: number;
  p50: number | null;
  longest: number | null;
};

export type IgnoredView = {
  by: string;
  at: string;
  name: string;
  text: string;
  path: "floor" | "resume" | "unplan";
  body: Record<string, string | null>;
};

export type ImageView = {
  id: string;
  title: string;
  summary: string;
  available: boolean;
  reason: string | null;
  remedy?: string | null;
  for_you?: boolean;
};

export type InstanceState = "starting" | "running" | "stopping" | "ended";

export type InstanceView = {
  id: string;
  state: "starting" | "running" | "stopping";
  flavor: string;
  image: string;
  example: string | null;
  requested_at: string;
  begun_at: string;
  usable_at: string | null;
  ends_at: string | null;
  url: string;
  open_url: string;
  problem: string | null;
  progress: ProgressView[];
  files_url?: string | null;
  session?: SessionPart | null;
  ending?: EndingView | null;
};

export type KeepChoiceRequest = {
  wanted: boolean;
};

export type KeepSummary = {
  chosen: boolean;
  kept: number;
};

export type KeepView = {
  enabled: boolean;
  chosen: boolean;
  limit_bytes: number;
  days: number;
  can_restore: boolean;
  bundles: BundleView[];
};

export type LastUseView = {
  class: string;
  title: string;
  charged_seconds: number;
  refunded_seconds: number;
  reasons: string[];
};

export type LastView = {
  ended_at: string;
  text: string;
  failed: boolean;
  details: string;
  use?: LastUseView | null;
};

export type MaintenanceView = {
  at: string | null;
  reason: string;
};

export type MessageRequest = {
  instance?: string | null;
  text: string;
};

export type NamedView = {
  id: string;
  title: string;
};

export type NeedsView = {
  memory_bytes: number;
  disk_bytes: number;
  accelerator_memory_bytes: number | null;
};

export type NotebookView = {
  id: string;
  person: string;
  name: string;
  flavor: string;
  image: string;
  state: InstanceState;
  requested_at: string;
  usable_at: string | null;
  ends_at: string | null;
  use: string | null;
};

export type NotebooksView = {
  notebooks: NotebookView[];
  total: number;
};

export type NoticeKind = "deadline" | "grace" | "idle" | "cpu_offer" | "maintenance" | "message";

export type NoticeView = {
  seq: number;
  at: string;
  text: string;
  good: boolean;
  instance: string | null;
};

export type OpenView = {
  state: "none" | "idle" | "queued" | "starting" | "stopping" | "fetching" | "ready" | "failed" | "other_image";
  text: string;
  next?: string;
  details?: string;
  url?: string | null;
};

export type PaidAdminView = {
  clouds: CloudView[];
  paused: Record<string, string> | null;
  steward: boolean;
  instances: AdminRunView[];
  bindings: Record<string, number>;
  consents: Record<string, number>;
  orders: Record<string, number>;
};

export type PaidInstanceView = {
  instance_type: string;
  id: string;
  server: string;
  provider: string;
  account: string;
  region: string;
  state: string;
  state_text: string;
  reason: string | null;
  raw_state: string | null;
  seen_at: string | null;
  problem: string | null;
  currency: string | null;
  price: string | null;
  spent: string | null;
  cap: string | null;
  share: number | null;
  seconds: number;
  cloud_seconds: number | null;
  created_at: string;
  stops_at: string | null;
  timer: boolean;
  stopped_at: string | null;
  ended_at: string | null;
  may_bill: boolean;
  can_stop: boolean;
  can_start: boolean;
  can_ask_again: boolean;
  can_delete: boolean;
  open_url: string | null;
  url: string;
  stages: StageView[];
};

export type PaidRunView = {
  id: string;
  instance_type: string;
  provider: string;
  state: string;
};

export type PaidView = {
  demo: boolean;
  offered: boolean;
  accounts_url: string;
  accounts: AccountView[];
  instances: PaidInstanceView[];
  history: PaidInstanceView[];
  notices: NoticeView[];
};

export type PeopleView = {
  people: PersonSummary[];
};

export type PercentilesView = {
  count: number;
  p50: number | null;
  p95: number | null;
};

export type PersonSummary = {
  id: string;
  name: string;
  has_account: boolean;
  trust: TrustClass;
  identity: string | null;
  created_at: string;
  forgotten_at: string | null;
  banned: boolean;
};

export type PersonView = {
  id: string;
  name: string;
  has_account: boolean;
  trust: TrustClass;
  identity: string | null;
  created_at: string;
  forgotten_at: string | null;
  banned: boolean;
  groups: Record<string, string[]>;
  bans: BanView[];
  running: RunView[];
  recent: RunView[];
  queued: string[];
  paid: PaidRunView[];
};

export type PlanChange = {
  name: string;
  flavor: string;
  image: string;
  slots: number;
  begins: string;
  ends: string;
  weekly?: boolean;
};

export type PlanName = {
  name: string;
};

export type PlanView = {
  by: string;
  at: string;
  name: string;
  flavor: string;
  image: string;
  slots: number;
  begins: string;
  ends: string;
  weekly: boolean;
  next_begins: string;
  next_ends: string;
  state: "now" | "coming" | "over" | "ignored";
};

export type PoolView = {
  isolated: boolean;
  notice: string | null;
  maintenance: MaintenanceView | null;
};

export type ProgressView = {
  at: string;
  percent: number;
  text: string;
};

export type QuoteView = {
  instance_type: string;
  cpu: number;
  memory: number;
  gpu_count: number;
  gpu_name: string | null;
  disk: number | null;
  price: string | null;
  currency: string | null;
  unit: string;
  available: boolean | null;
  fits: boolean;
  buyable: boolean;
  read_at: string;
};

export type QuotesView = {
  account: string;
  region: string;
  quotes: QuoteView[];
};

export type RestoredView = {
  files: number;
  beside: number;
  refused: number;
};

export type RunUse = {
  class: string;
  class_title: string;
  weight: number;
  charged_seconds: number;
  refunded_seconds: number;
  held_seconds: number;
  refund_reasons: string[];
};

export type RunView = {
  id: string;
  name: string;
  flavor: string;
  image: string;
  state: InstanceState;
  requested_at: string;
  usable_at: string | null;
  ended_at: string | null;
  reason: EndReason | null;
};

export type SeenRequest = {
  seen?: string[];
  where?: "lab" | "desk";
};

export type SessionNoticeView = {
  id: string;
  kind: NoticeKind;
  due_at: string;
  written_at: string;
  params: Record<string, unknown>;
  title: string;
  text: string;
  actions: ("extend" | "still_here" | "open_desk")[];
  seen_at: string | null;
  answered_at: string | null;
};

export type SessionPart = {
  extension: ExtensionView;
  notices: SessionNoticeView[];
  keeps_files?: boolean;
};

export type SessionView = {
  extension: ExtensionView;
  notices: SessionNoticeView[];
  keeps_files?: boolean;
  id: string;
  user: string;
  server: string;
  state: "starting" | "running";
  flavor: string;
  image: string;
  flavor_title: string;
  image_title: string;
  usable_at: string | null;
  ends_at: string | null;
  now: string;
  language: string;
  allowance: AllowanceView | null;
  idle: UseView | null;
  desk_url: string;
  end_url: string;
  restart_url: string;
  announcement?: AnnouncementView | null;
};

export type SetView = {
  by: string;
  at: string;
};

export type SlotsView = {
  limit: number;
  assigned: number;
  warm: number;
  making: number;
  leaving: number;
  room: number;
  free: number;
};

export type StageView = {
  percent: number;
  text: string;
};

export type StartRequest = {
  flavor?: string | null;
  image?: string | null;
  example?: string | null;
};

export type State = {
  user: UserView;
  pool: PoolView;
  flavors: FlavorView[];
  images: ImageView[];
  examples: ExampleView[];
  defaults: DefaultsView;
  instance: InstanceView | null;
  ticket: TicketView | null;
  last: LastView | null;
  paid: PaidView | null;
  standing: ClassView | null;
  keep?: KeepSummary | null;
  now: string;
};

export type StopRequest = {
  instance: string;
};

export type TargetView = {
  image: string;
  image_title: string;
  warm: number;
  making: number;
  target: number;
  why: string;
  floor: FloorView | null;
  catalog_floor: number | null;
  catalog_ceiling: number | null;
  backs_off: BackOffView | null;
};

export type TicketAnswer = {
  ticket: TicketView | null;
};

export type TicketView = {
  id: string;
  state: "waiting" | "called";
  flavor: string;
  image: string;
  example: string | null;
  joined_at: string;
  place: number | null;
  wait_seconds: [number, number] | null;
  reason: string | null;
  held: boolean;
  hold_until: string | null;
};

export type ToldView = {
  notebooks: number;
};

export type TrustClass = "new" | "known" | "trusted";

export type UseView = {
  activity: Activity;
  since: string;
  stops_at: string | null;
};

export type UserNamespacesView = {
  enabled: boolean;
  text: string;
  details: string;
  until: string | null;
};

export type UserView = {
  name: string;
  admin: boolean;
};
