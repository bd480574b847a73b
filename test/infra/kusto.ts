import { createRequire } from "node:module";

/*
 * Kusto queries, parsed and bound by Microsoft's own language service. Its JavaScript is made from C#: it puts itself into
 * globals and keeps the C# names of members.
 */

/**
 * The tables that our queries read, with the types of their columns. From the Azure Monitor Logs reference
 * (https://learn.microsoft.com/azure/azure-monitor/reference/tables/appevents, …/appmetrics, …/apptraces,
 * …/appexceptions, …/azkvauditlogs); columns that no query of ours could want are left out.
 */
const tables = {
  AppEvents:
    "TimeGenerated: datetime, Name: string, Properties: dynamic, Measurements: dynamic, OperationId: string, OperationName: string, ParentId: string, AppRoleName: string, AppRoleInstance: string, AppVersion: string, ItemCount: int, _ResourceId: string, TenantId: string, Type: string",
  AppMetrics:
    "TimeGenerated: datetime, Name: string, Properties: dynamic, Min: real, Max: real, Sum: real, ItemCount: int, OperationId: string, OperationName: string, AppRoleName: string, AppRoleInstance: string, _ResourceId: string, TenantId: string, Type: string",
  AppTraces:
    "TimeGenerated: datetime, Message: string, SeverityLevel: int, Properties: dynamic, OperationId: string, OperationName: string, AppRoleName: string, AppRoleInstance: string, ItemCount: int, _ResourceId: string, TenantId: string, Type: string",
  AppExceptions:
    "TimeGenerated: datetime, ProblemId: string, ExceptionType: string, OuterMessage: string, OuterType: string, InnermostMessage: string, Details: dynamic, Properties: dynamic, OperationId: string, OperationName: string, AppRoleName: string, _ResourceId: string, TenantId: string, Type: string",
  AZKVAuditLogs:
    "TimeGenerated: datetime, OperationName: string, ResultType: string, ResultSignature: string, ResultDescription: string, HttpStatusCode: int, Identity: dynamic, CallerIpAddress: string, ClientInfo: string, CorrelationId: string, DurationMs: int, Id: string, RequestUri: string, IsRbacAuthorized: bool, AppliedAssignmentId: string, Properties: dynamic, _ResourceId: string, TenantId: string, Type: string",
} as const;

export interface Analysis {
  /** What the language service has to say, with the text that it speaks of. */
  readonly diagnostics: readonly string[];
  /** The columns of the result, with their Kusto types. */
  readonly columns: ReadonlyMap<string, string>;
}

export function analyse(query: string): Analysis {
  const code = kusto.KustoCode.ParseAndAnalyze(query, state);
  return {
    diagnostics: toArray(code.GetDiagnostics()).map(
      ({ Message, Start, Length }) => `${Message} «${query.slice(Start, Start + Length)}»`,
    ),
    columns: new Map(toArray(code.ResultType?.Columns).map(({ Name, Type }) => [Name, Type.Name])),
  };
}

interface List<T> {
  readonly Count: number;
  getItem(index: number): T;
}

interface LanguageService {
  readonly KustoCode: {
    ParseAndAnalyze(
      query: string,
      globals: unknown,
    ): {
      GetDiagnostics(): List<{ readonly Message: string; readonly Start: number; readonly Length: number }>;
      readonly ResultType?: {
        readonly Columns?: List<{ readonly Name: string; readonly Type: { readonly Name: string } }>;
      };
    };
  };
  readonly GlobalState: { readonly Default: { WithDatabase(database: unknown): unknown } };
  readonly Symbols: {
    readonly TableSymbol: { From(schema: string): { WithName(name: string): unknown } };
    readonly DatabaseSymbol: { readonly ctor: new (name: string, members: readonly unknown[]) => unknown };
  };
}

function toArray<T>(list: List<T> | undefined): T[] {
  return Array.from({ length: list?.Count ?? 0 }, (_, index) => (list as List<T>).getItem(index));
}

function load(): LanguageService {
  const require = createRequire(import.meta.url);
  require("@kusto/language-service-next/bridge.min.js");
  require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
  return (globalThis as unknown as { Kusto: { Language: LanguageService } }).Kusto.Language;
}

const kusto = load();
const state = kusto.GlobalState.Default.WithDatabase(
  new kusto.Symbols.DatabaseSymbol.ctor(
    "workspace",
    Object.entries(tables).map(([name, columns]) =>
      kusto.Symbols.TableSymbol.From(`(${columns})`).WithName(name),
    ),
  ),
);
