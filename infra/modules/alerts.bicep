// One rule for each thing that can go wrong. What is stated of each is in alerts.json, what is looked for in queries/*.kql.
//
// Every query says "this is wrong" with a row, and expects what rotations.json names: a rule fires on rows, never on
// a number that a vanished series would no longer report.

@description('Required. Region of the rules; that of the workspace.')
param location string

@description('Required. Tags of the rules.')
param tags object

@description('Required. Ending of the names of the rules.')
param token string

@description('Required. Resource id of the workspace that the queries run in.')
param workspaceId string

@description('Required. What the queries are filled with: for each `{name}` in them, its text.')
param values queryValues

@description('Required. Resource ids of the action groups that are told.')
param actionGroupIds string[]

@description('Required. Where the runbook can be read; alerts link to its sections.')
param runbookUrl string

@export()
@description('Texts for the placeholders in the queries.')
type queryValues = {
  @description('Resource id of the Application Insights component.')
  componentId: string

  @description('Names of the rotations, with commas between.')
  rotations: string

  @description('The outputs, as a JSON array of objects with rotation, vault and secret.')
  outputs: string

  @description('Minutes without a sign of life after which something is silent.')
  silenceMinutes: string

  @description('Minutes before its expiry at which a secret should have been renewed.')
  warningMinutes: string

  @description('Hours that the longest-lived token lives.')
  longestTokenHours: string

  @description('Object id of the rotator\'s identity.')
  principalId: string
}

@export()
@description('A query with its placeholders filled in.')
func filled(query string, values queryValues) string =>
  reduce(items(values), query, (text, entry) => replace(text, '{${entry.key}}', entry.value))

var definitions = loadJsonContent('../alerts.json')

var queries = {
  expired: loadTextContent('../queries/expired.kql')
  'no-heartbeat': loadTextContent('../queries/no-heartbeat.kql')
  'sign-in-required': loadTextContent('../queries/sign-in-required.kql')
  'vault-silent': loadTextContent('../queries/vault-silent.kql')
  'rotation-failed': loadTextContent('../queries/rotation-failed.kql')
  'expiry-near': loadTextContent('../queries/expiry-near.kql')
  'consumer-failed': loadTextContent('../queries/consumer-failed.kql')
  'fallback-in-use': loadTextContent('../queries/fallback-in-use.kql')
  'versions-near-limit': loadTextContent('../queries/versions-near-limit.kql')
  'vault-throttled': loadTextContent('../queries/vault-throttled.kql')
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in items(definitions): {
    name: '${rule.key}-${token}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Token rotator: ${rule.value.title}'
      description: '${rule.value.meaning} What to do: ${runbookUrl}#${rule.key}'
      severity: rule.value.severity
      enabled: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: rule.value.frequency
      windowSize: rule.value.window
      autoMitigate: true
      // The tables do not exist before the first telemetry has arrived.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: filled(queries[rule.key], values)
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: map(rule.value.dimensions, dimension => {
              name: dimension
              operator: 'Include'
              values: [
                '*'
              ]
            })
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: actionGroupIds
      }
    }
  }
]
