// Roles that exist in every tenant. The rotator's own roles are in roles.json.

@export()
@description('Ids of built-in roles.')
var builtInRole = {
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
}

@export()
@description('A condition that lets a role take an action only on the named secrets. `source` is `Request` for setting a secret, which may not exist yet, and `Resource` for everything else. Names are compared with their case.')
func onlyNamed(action string, source 'Request' | 'Resource', names string[]) string =>
  '((!(ActionMatches{\'${action}\'})) OR (@${source}[Microsoft.KeyVault/vaults/secrets:name] ForAnyOfAnyValues:StringEquals {\'${join(names, '\', \'')}\'}))'
