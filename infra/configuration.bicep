// What rotations.json asks of Azure: which secrets are written, read and tagged, and which Container Apps are updated.
// Pure functions of the file, so that every role assignment and every alert is derived from it and none is kept by hand.

@export()
@description('A Key Vault secret. `vault` is the name of the vault in lower case, or empty for the default vault.')
type secretName = {
  vault: string
  secret: string
}

@export()
@description('A rotation and one secret that it keeps fresh.')
type outputName = {
  rotation: string
  vault: string
  secret: string
}

@export()
@description('The name of the vault that the file names for everything that names none, in lower case; empty where it names none.')
func defaultVaultName(configuration object) string => vaultNameOf(configuration.?vault ?? '')

@export()
@description('Minutes between two ticks, as the file says: the timer\'s schedule and the alerts on silence follow it.')
func tickMinutes(configuration object) int => minutesOf(configuration.?tick ?? '5m')

@export()
@description('Every secret that is kept fresh, with its rotation.')
func rotationOutputs(configuration object) outputName[] =>
  flatten(map(
    rotations(configuration),
    rotation =>
      map(rotation.value.outputs, output => {
        rotation: rotation.key
        vault: vaultNameOf(output.?vault ?? '')
        secret: output.secret
      })
  ))

@export()
@description('The secrets whose new versions the rotator sets: every output, and what a source renews for itself.')
func secretsWritten(configuration object) secretName[] =>
  concat(
    map(rotationOutputs(configuration), output => { vault: output.vault, secret: output.secret }),
    sourceSecrets(configuration, ['refreshToken', 'keyPair'])
  )

@export()
@description('The only secrets whose values the rotator reads: what a source must read, and what it pushes into an app.')
func secretsRead(configuration object) secretName[] =>
  concat(
    sourceSecrets(configuration, ['clientSecret', 'refreshToken', 'privateKey', 'keyPair']),
    moduleSecrets(configuration),
    map(filter(consumers(configuration), consumer => consumer.mode == 'value'), consumer => {
      vault: consumer.vault
      secret: consumer.output
    })
  )

@export()
@description('The secrets whose versions the rotator tags or disables: what a source renews, and outputs with `retire`.')
func secretsUpdated(configuration object) secretName[] =>
  concat(
    sourceSecrets(configuration, ['refreshToken', 'keyPair']),
    flatten(map(
      filter(rotations(configuration), rotation => contains(rotation.value, 'retire')),
      rotation =>
        map(rotation.value.outputs, output => {
          vault: vaultNameOf(output.?vault ?? '')
          secret: output.secret
        })
    ))
  )

@export()
@description('Names of the secrets of one vault, each once. References without a vault belong to the default vault.')
func secretsIn(secrets secretName[], vaultName string, isDefault bool) string[] =>
  union(
    map(
      filter(secrets, entry => entry.vault == toLower(vaultName) || (isDefault && empty(entry.vault))),
      entry => entry.secret
    ),
    []
  )

@export()
@description('Names of the vaults, in lower case and each once, that an output or a source names.')
func vaultsNamed(configuration object) string[] =>
  union(
    map(
      filter(concat(secretsWritten(configuration), secretsRead(configuration)), entry => !empty(entry.vault)),
      entry => entry.vault
    ),
    []
  )

@export()
@description('Names of the rotations.')
func rotationNames(configuration object) string[] => map(rotations(configuration), rotation => rotation.key)

@export()
@description('The Container Apps and jobs that are updated, each once as `subscription/resource group|kind|name` in lower case, by their resource group.')
func consumersByGroup(configuration object) object =>
  groupBy(
    union(
      map(
        consumers(configuration),
        consumer =>
          toLower('${split(consumer.target, '/')[2]}/${split(consumer.target, '/')[4]}|${consumer.kind}|${split(consumer.target, '/')[8]}')
      ),
      []
    ),
    consumer => split(consumer, '|')[0]
  )

@export()
@description('Of what `consumersByGroup` gives for one group, the names of one kind.')
func consumerNames(entries string[], kind string) string[] =>
  map(filter(entries, entry => split(entry, '|')[1] == kind), entry => split(entry, '|')[2])

// The shape of the file, so far as the above needs to know it.

// What a schedule can say that begins anew every hour.
func minutesOf(tick string) int =>
  contains(['1m', '2m', '3m', '4m', '5m', '6m', '10m', '12m', '15m', '20m', '30m'], tick)
    ? int(replace(tick, 'm', ''))
    : fail('The tick ${tick} in rotations.json is no divisor of an hour: take 1m to 6m, 10m, 12m, 15m, 20m or 30m.')

func vaultNameOf(url string) string => empty(url) ? '' : toLower(split(split(url, '://')[1], '.')[0])

func rotations(configuration object) array =>
  empty(configuration.?rotations ?? {})
    ? fail('rotations.json lists no rotations. Add at least one under "rotations".')
    : items(configuration.rotations)

func consumers(configuration object) object[] =>
  flatten(map(
    rotations(configuration),
    rotation =>
      map(rotation.value.?consumers ?? [], consumer => {
        kind: consumer.kind
        target: targetOf(rotation.key, consumer)
        mode: consumer.?mode ?? 'value'
        output: consumer.output
        vault: vaultNameOf(first(filter(rotation.value.outputs, output => output.secret == consumer.output)).?vault ?? '')
      })
  ))

func targetOf(rotation string, consumer object) string =>
  length(split(consumer.?app ?? consumer.?job ?? '', '/')) == 9
    ? (consumer.?app ?? consumer.?job)
    : fail('A consumer of the rotation ${rotation} has no resource id of a Container App in "app" (or of a job in "job").')

// A module names its secrets itself: a map of names.
func moduleSecrets(configuration object) secretName[] =>
  flatten(map(
    flatten(map(rotations(configuration), rotation => sourcesOf(rotation.value))),
    source =>
      map(items(source.?secrets ?? {}), named => {
        vault: vaultNameOf(named.value.?vault ?? '')
        secret: named.value.secret
      })
  ))

// A source may be a list (fallback), and may hold the source of its own authorisation or subject.
func sourceSecrets(configuration object, keys string[]) secretName[] =>
  flatten(map(
    flatten(map(rotations(configuration), rotation => sourcesOf(rotation.value))),
    source =>
      map(filter(keys, key => contains(source, key)), key => {
        vault: vaultNameOf(source[key].?vault ?? '')
        secret: source[key].secret
      })
  ))

func sourcesOf(rotation object) object[] =>
  flatten(map(
    listOf(rotation, 'source'),
    source => concat([source], listOf(source, 'authorization'), listOf(source, 'subject'))
  ))

// There is no test for a list in the language; its JSON tells.
func listOf(holder object, key string) array =>
  !contains(holder, key) ? [] : startsWith(string(holder[key]), '[') ? holder[key] : [holder[key]]
