// Who is told when an alert fires.

@description('Required. Name of the group.')
param name string

@description('Required. Tags of the group.')
param tags object

@description('Required. Addresses that get an e-mail.')
param emails string[]

@description('Optional. Address that alerts are posted to, in the common alert schema. Often carries a key, so it is kept secret.')
@secure()
param webhookUrl string = ''

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    // At most 12 characters; it opens every message.
    groupShortName: 'tokens'
    enabled: true
    emailReceivers: [
      for (email, i) in emails: {
        name: 'email-${i + 1}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
    webhookReceivers: empty(webhookUrl)
      ? []
      : [
          {
            name: 'webhook'
            serviceUri: webhookUrl
            useCommonAlertSchema: true
          }
        ]
  }
}

@description('Resource id of the group.')
output id string = group.id
