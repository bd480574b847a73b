// Lets nobody reach the HTTP functions who has not signed in with Entra ID. The platform does it before the app is asked; the
// app, told so by HTTP_ACCESS, asks for no keys then.

@description('Required. Name of the function app.')
param functionAppName string

@description('Required. Client id of the app registration that people sign in to.')
param clientId string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName

  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: {
      platform: {
        enabled: true
      }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'RedirectToLoginPage'
        redirectToProvider: 'azureactivedirectory'
        // The first tells nothing. The second keeps asking for its key: an alert cannot sign in. Nothing else may be named
        // here, because on these paths nobody vouches for what a request says of its sender.
        excludedPaths: [
          '/api/health'
          '/api/tick'
        ]
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: clientId
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: [
              clientId
              'api://${clientId}'
            ]
          }
        }
      }
      login: {
        tokenStore: {
          enabled: false
        }
      }
      httpSettings: {
        requireHttps: true
      }
    }
  }
}
