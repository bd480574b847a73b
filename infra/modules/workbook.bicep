// The operator's view in the portal: freshness, next renewals, failures, heartbeat, consumers, versions.

@description('Required. Tells this installation from others: the name of a workbook is a GUID.')
param installation string

@description('Required. Region of the workbook.')
param location string

@description('Required. Tags of the workbook.')
param tags object

@description('Required. Resource id of the workspace that the workbook reads.')
param workspaceId string

@description('Required. Resource id of the Application Insights component.')
param componentId string

var content = replace(
  replace(loadTextContent('../workbook/rotations.workbook.json'), '{workspaceId}', workspaceId),
  '{componentId}',
  componentId
)

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, installation, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Token rotator ${installation}'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: toLower(workspaceId)
    serializedData: content
  }
}
