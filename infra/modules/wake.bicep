// Wakes the rotator when it has fallen silent, by asking it for a tick over HTTP: timers have been seen to stop on the Flex
// Consumption plan while HTTP functions of the same app went on answering.
//
// The function key is read here and kept in the action group, where those who may read the group can see it. It is the key
// of this one function, and all that it opens is a tick, which does nothing that the timer would not do.

import { filled, queryValues } from 'alerts.bicep'

@description('Required. Region of the rule; that of the workspace.')
param location string

@description('Required. Tags of the rule and the action group.')
param tags object

@description('Required. Ending of the names.')
param token string

@description('Required. Resource id of the workspace that the query runs in.')
param workspaceId string

@description('Required. What the query is filled with.')
param values queryValues

@description('Required. Name of the function app.')
param functionAppName string

@description('Required. Name of its HTTP function that runs a tick.')
param functionName string

@description('Required. Route of that function, such as `api/tick`.')
param route string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName

  resource tick 'functions' existing = {
    name: functionName
  }
}

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-wake-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'wake'
    enabled: true
    azureFunctionReceivers: [
      {
        name: 'tick'
        functionAppResourceId: app.id
        functionName: functionName
        httpTriggerUrl: 'https://${app.properties.defaultHostName}/${route}?code=${app::tick.listKeys().default}'
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'wake-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Token rotator: wake it up'
    description: 'Tells nobody: calls the function app for as long as it is silent. The rule no-heartbeat tells people.'
    severity: 4
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'P1D'
    // Without a state, so that it calls again and again until the rotator answers.
    autoMitigate: false
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          // A rotation that no tick speaks of is a matter for people: another tick would not speak of it either.
          query: '${filled(loadTextContent('../queries/no-heartbeat.kql'), values)}\n| where silent == "tick"'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        group.id
      ]
    }
  }
}
