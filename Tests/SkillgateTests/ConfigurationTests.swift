import Foundation
import GatewayCore
import GatewayRedis
import GatewayServer
import GatewayUpstream
import Glibc
import TestSupport
import Testing

@testable import skillgate

@Suite struct ConfigurationTests {
    private static let environment = ["SECRET": "s", "KEY": "orders-0123456789abcdef"]
    private static let minimal = """
        skills: [{name: weather, clientID: c, clientSecret: {env: SECRET}}]
        callers: [{name: orders, apiKeys: [{env: KEY}], skills: [weather]}]

        """

    private func read(
        _ yaml: String, _ environment: [String: String] = [:]
    ) throws(ConfigurationErrors) -> GatewayConfiguration {
        try GatewayConfiguration(
            yaml: yaml, fileName: "f", folder: "",
            environment: Self.environment.merging(environment) { $1 })
    }

    private func problems(_ yaml: String, _ environment: [String: String] = [:]) -> [String] {
        do {
            _ = try read(yaml, environment)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test func `what is not said has the documented default`() throws {
        let configuration = try read(Self.minimal)
        #expect(configuration.listeners.map(\.address) == [.tcp(host: "127.0.0.1", port: 8080)])
        #expect(configuration.admin == SocketAddressText(host: "127.0.0.1", port: 9090))
        #expect(configuration.endpoints[.farEast].description == "https://api.fe.amazonalexa.com")
        #expect(configuration.tokenEndpoint == "https://api.amazon.com/auth/o2/token")
        #expect(configuration.upstream.limits.deadline == .seconds(10))
        #expect(configuration.upstream.region.pool.maximumConnections == 256)
        #expect(configuration.idempotency.retention == .seconds(86_400))
        #expect(configuration.drain.notice == .seconds(5))
    }

    @Test func `a shared store is read whole`() throws {
        let configuration = try read(
            Self.minimal + """
                idempotency:
                  store: redis
                  fingerprintKey: {env: SECRET}
                  redis:
                    url: rediss://a:1,[::1]:2,c
                    username: u
                    password: {env: SECRET}
                    keyPrefix: "{g}"
                    waitReplicas: 2
                    onStoreUnavailable: forward
                    sentinel: {master: m, password: {env: KEY}}
                """)
        let redis = try #require(configuration.idempotency.redis)
        #expect(redis.addresses.map(\.description) == ["a:1", "[::1]:2", "c:6379"])
        #expect(redis.credentials == .init(username: "u", password: "s"))
        #expect(redis.topology == .sentinel(master: "m", .init(password: "orders-0123456789abcdef")))
        #expect(redis.tls != nil && redis.keyPrefix == "{g}" && redis.waitReplicas == 2)
        #expect(configuration.idempotency.onStoreUnavailable == .forward)
        #expect(configuration.idempotency.fingerprintKeys == ["s"])
        let database = try read(Self.minimal + "idempotency: {store: redis, redis: {url: 'redis://h/7'}}")
        #expect(database.idempotency.redis?.database == 7 && database.idempotency.redis?.tls == nil)
        #expect(try read(Self.minimal + "idempotency: {redis: {url: 'redis://h'}}").idempotency.redis == nil)
    }

    @Test func `behind a failover every replica is waited for, unless somebody says otherwise`() throws {
        func redis(_ members: String) throws -> RedisConfiguration? {
            let configuration = try read(
                Self.minimal + "idempotency: {store: redis, redis: {url: 'redis://h'\(members)}}")
            #expect(configuration.warnings.isEmpty)
            return configuration.idempotency.redis
        }
        #expect(try redis("")?.waitReplicas == 0 && redis("")?.onStoreWiped == .serve)
        #expect(try redis(", waitReplicas: all, onStoreWiped: hold")?.waitReplicas == .all)
        #expect(try redis(", waitReplicas: 1")?.waitReplicas == 1)
        #expect(try redis(", cluster: true")?.waitReplicas == .all)
        #expect(try redis(", sentinel: {master: m}")?.waitReplicas == .all)
        let careless = try read(
            Self.minimal + "idempotency: {store: redis, redis: {url: 'redis://h', cluster: true, waitReplicas: 0}}")
        #expect(
            careless.warnings.map(\.description).contains { $0.contains("with `waitReplicas: 0` a failover loses") })
        #expect(
            problems(Self.minimal + "idempotency: {store: redis, redis: {url: 'redis://h', waitReplicas: most}}")[0]
                .contains("is `most`; expected `all`, or an integer from 0 to 10"))
    }

    @Test func `what does not fit keys from the content is told`() throws {
        func yaml(_ caller: String, _ rest: String = "") -> String {
            Self.minimal.replacingOccurrences(of: "apiKeys: ", with: caller + ", apiKeys: ") + rest
        }
        let content = "idempotencyKeyFrom: [{data: order}, content]"
        let configuration = try read(yaml(content + ", contentWindow: 2m"))
        #expect(configuration.callers[0].idempotencyKeyFrom == [.data(member: "order"), .content])
        #expect(configuration.callers[0].contentWindow == .seconds(120) && configuration.warnings.isEmpty)
        #expect(problems(yaml(content, "idempotency: {retention: 2m}"))[0].contains("no less than the `contentWindow`"))
        #expect(
            problems(yaml(content + ", contentWindow: 30s", "upstream: {deadline: 60s}"))[0]
                .contains("`contentWindow` is not longer than"))
        let open = try read(yaml(content, "idempotency: {store: redis, redis: {url: 'rediss://h'}}"))
        #expect(open.warnings.map(\.description).contains { $0.contains("can test guesses of what was sent") })
        // What is remembered under other keys.
        let old = try read(yaml("idempotencyKeyFrom: [field]"))
        #expect(try read(yaml("idempotencyKeyFrom: [field, content]")).forgottenKeys(since: old).isEmpty)
        #expect(configuration.forgottenKeys(since: old).first?.contains("sent again") == true)
        #expect(
            try read(yaml(content + ", contentWindow: 1m")).forgottenKeys(since: configuration).first?.contains(
                "shorter")
                == true)
    }

    @Test func `fingerprint keys that replace one another are a list, the one in use first`() throws {
        let keys = "idempotency: {fingerprintKeys: [{env: KEY}, {env: SECRET}]}"
        #expect(try read(Self.minimal + keys).idempotency.fingerprintKeys == ["orders-0123456789abcdef", "s"])
        #expect(
            problems(Self.minimal + "idempotency: {fingerprintKey: {env: SECRET}, fingerprintKeys: [{env: KEY}]}")
                .contains { $0.contains("both given") })
    }

    @Test(
        arguments: [
            ("redis: {", "redis: {keyPrefix: 'other:', ", "`keyPrefix` was"),
            ("redis://h", "redis://other", "`url` names another Redis"),
            ("redis://h", "redis://h/3", "`url` names another"),
            ("redis://h", "redis://h:6379", nil), ("store: redis", "store: memory", "`idempotency.store` was `redis`"),
            ("{env: SECRET}]", "{env: KEY}]", "`fingerprintKeys` lacks the key that was first"),
            ("{env: SECRET}]", "{env: KEY}, {env: SECRET}]", nil),
        ] as [(String, String, String?)])
    func `a change that makes the store forget is told`(text: String, replacement: String, warning: String?) throws {
        let yaml =
            Self.minimal
            + "idempotency: {store: redis, fingerprintKeys: [{env: SECRET}], redis: {url: 'redis://h'}}"
        let changed = yaml.replacingOccurrences(of: text, with: replacement)
        let forgotten = try read(changed).forgottenKeys(since: try read(yaml))
        #expect(forgotten.count == (warning == nil ? 0 : 1))
        #expect(forgotten.allSatisfy { $0.hasPrefix(warning ?? "") })
    }

    @Test func `credentials that change hands are told`() throws {
        func callers(_ first: String, _ second: String) throws -> GatewayConfiguration {
            let yaml = Self.minimal.replacingOccurrences(
                of: "callers: [{name: orders, apiKeys: [{env: KEY}], skills: [weather]}]",
                with: "callers: [{name: a, apiKeys: [{env: \(first)}], skills: [weather]}, "
                    + "{name: b, apiKeys: [{env: \(second)}], skills: [weather]}]")
            return try read(yaml, ["ONE": "one-0123456789abcdef0", "TWO": "two-0123456789abcdef0"])
        }
        let swapped = try callers("TWO", "ONE").forgottenKeys(since: try callers("ONE", "TWO"))
        #expect(
            swapped.count == 2 && swapped[0].contains("expected `id: b`") && swapped[1].contains("expected `id: a`"))
        #expect(try callers("ONE", "TWO").forgottenKeys(since: try callers("ONE", "TWO")).isEmpty)
    }

    @Test func `an id outlives a name, and belongs to one`() throws {
        let renamed = Self.minimal.replacingOccurrences(of: "name: orders", with: "name: shop")
            .replacingOccurrences(of: "name: weather", with: "name: forecast")
            .replacingOccurrences(of: "[weather]", with: "[forecast]")
        let (old, forgetful) = (try read(Self.minimal), try read(renamed))
        #expect(forgetful.forgottenKeys(since: old).count == 2)
        #expect(forgetful.forgottenKeys(since: old)[0].contains("expected `id: orders`"))
        let mindful = try read(
            renamed.replacingOccurrences(of: "name: shop", with: "name: shop, id: orders")
                .replacingOccurrences(of: "name: forecast", with: "name: forecast, id: weather"))
        #expect(mindful.forgottenKeys(since: old).isEmpty)
        #expect(mindful.callers[0].recordID == "orders" && mindful.skills[0].recordID == "weather")
        #expect(
            problems(
                Self.minimal.replacingOccurrences(
                    of: "callers: [",
                    with: "callers: [{name: a, id: orders, apiKeys: [{env: OTHER}], skills: [weather]}, "),
                ["OTHER": "another-0123456789abcdef"]
            ).contains { $0.contains("the id `orders` is taken") })
        #expect(
            problems(
                Self.minimal.replacingOccurrences(
                    of: "skills: [{",
                    with: "skills: [{name: a, id: weather, clientID: c, clientSecret: {env: SECRET}}, {")
            ).contains { $0.contains("the id `weather` is taken") })
    }

    @Test(arguments: [
        ("store: redis", "f:3:14: `url` is missing in `idempotency.redis`; expected a URL such as"),
        ("store: redis, redis: {url: 'http://h'}", "`url` is not valid; expected a URL such as"),
        ("store: redis, redis: {url: 'redis://u:p@h'}", "expected a URL such as"),
        ("redis: {url: 'redis://h:0'}", "expected a URL such as"), ("redis: {url: 'redis://h/x'}", "expected a URL"),
        ("redis: {url: 'redis://a,,b'}", "expected a URL"), ("redis: {username: u}", "is given without `password`"),
        ("redis: {url: 'redis://h/1', cluster: true}", "a cluster has database 0 only"),
        ("redis: {url: 'redis://h', cluster: true, sentinel: {master: m}}", "a cluster has no Sentinels"),
        ("redis: {sentinel: {}}", "`master` is missing in `idempotency.redis.sentinel`"),
        ("redis: {url: 'redis://h', tls: {}}", "expected rediss://"),
        ("redis: {url: 'rediss://h', tls: {caFile: /none}}", "`caFile`: cannot read /none"),
        ("redis: {url: 'rediss://h', tls: {privateKeyFile: /dev/null}}", "must be given together"),
        ("redis: {onStoreUnavailable: guess}", "expected `refuse` or `forward`"),
        ("redis: {keyPrefix: ''}", "expected 1 to 64 visible ASCII characters"),
    ])
    func `a shared store that cannot be is refused`(yaml: String, problem: String) {
        let found = problems(Self.minimal + "idempotency: {\(yaml)}")
        #expect(found.contains { $0.contains(problem) }, "\(found)")
    }

    @Test func `the environment overrides a scalar, and JSON is YAML`() throws {
        let json = """
            {"skills": [{"name": "weather", "clientID": "c", "clientSecret": {"env": "SECRET"}}],
             "callers": [{"name": "orders", "apiKeys": [{"env": "KEY"}], "skills": ["weather"]}]}
            """
        let configuration = try read(
            json,
            [
                "SKILLGATE_ADMIN_ADDRESS": "[::1]:1", "SKILLGATE_UPSTREAM_CONNECT_TIMEOUT": "250ms",
                "SKILLGATE_REGIONS_NA_API_ENDPOINT": "http://127.0.0.1:1/na", "SKILLGATE_SKILLS_0_DEFAULT_REGION": "eu",
                "SKILLGATE_SERVICE_HOST": "10.0.0.1", "SKILLGATE_PORT": "tcp://10.0.0.1:80",
            ])
        #expect(configuration.admin == SocketAddressText(host: "::1", port: 1))
        #expect(configuration.upstream.region.pool.connectTimeout == .milliseconds(250))
        #expect(configuration.endpoints[.northAmerica].description == "http://127.0.0.1:1/na")
        #expect(configuration.skills[0].defaultRegion == .europe)
    }

    @Test(arguments: [
        ("upstrem: {}", "f:3:1: unknown member `upstrem`; did you mean `upstream`?"),
        (
            "upstream: {deadline: 10}",
            "f:3:22: `deadline` is `10`; expected a duration such as 250ms, 10s, 5m or 24h, from 100ms to 5m"
        ),
        ("upstream: {deadline: 10s, deadline: 11s}", "f:3:12: member `deadline` is given twice"),
        (
            "idempotency: {retention: 60s}\nupstream: {deadline: 100s}",
            "f:3:26: `retention` is 60.0 seconds; expected more than the longest time a message can take, 105.0 seconds"
        ),
        (
            "idempotency: {memory: {maximumBytes: 1XB}}",
            "f:3:38: `maximumBytes` is `1XB`; expected a size such as 64KiB or 512MiB, from 1024 to 1099511627776 bytes"
        ),
        (
            "regions: {NA: {apiEndpoint: http://example.org}}",
            "f:3:29: `apiEndpoint` is not valid; expected a URL that starts with https:// (http:// only on a loopback address)"
        ),
        (
            "regions: {NA: {aliases: [https://api.eu.amazonalexa.com]}}",
            "f:3:10: `https://api.eu.amazonalexa.com` belongs to two regions, NA and EU"
        ),
        (
            "listeners: [{address: 0.0.0.0:1}]\nanonymousCaller: {skills: [weather]}",
            "f:4:18: `anonymousCaller` lets anyone who can reach 0.0.0.0:1 send; expected only listeners on loopback addresses or Unix sockets"
        ),
        (
            "listeners: [{address: unix:gateway.sock}]",
            "f:3:23: `address` is `unix:gateway.sock`; expected an address such as 127.0.0.1:8080 or [::1]:8080, or a Unix socket such as unix:/run/skillgate.sock, or a socket of systemd such as systemd:skillgate"
        ),
        (
            "listeners: [{address: unix:/x, mode: 999}]",
            "f:3:38: `mode` is `999`; expected a file mode in octal digits, such as 0660"
        ),
        (
            "listeners: [{address: 127.0.0.1:1, trustedProxies: [10.0.0.1/8]}]",
            "f:3:53: an element of `trustedProxies` is `10.0.0.1/8`; expected an address, a network such as 10.0.8.0/28 or 2001:db8::/64, or `unix:`"
        ),
        (
            "listeners: [{address: 127.0.0.1:1, proxyProtocol: required}]",
            "f:3:51: `proxyProtocol: required` without `trustedProxies`, so that anyone could claim any address; expected the addresses of the proxies there"
        ),
        (
            "listeners: [{address: 127.0.0.1:1, trustedProxies: [\"unix:\"]}]",
            "f:3:52: `unix:` means nothing for a TCP listener; expected networks"
        ),
        (
            "listeners: [{address: unix:/tmp/x, trustedProxies: [10.0.0.1]}]",
            "f:3:52: `10.0.0.1` means nothing for a Unix socket; expected `unix:`"
        ),
        (
            "listeners: [{address: 127.0.0.1:1, trustedProxies: [127.0.0.1]}]\nanonymousCaller: {skills: [weather]}",
            "f:4:18: `anonymousCaller` lets anyone send who reaches 127.0.0.1:1 through one of its `trustedProxies`; expected only listeners without them"
        ),
        ("listeners: [{address: 127.0.0.1:1, mode: 600}]", "f:3:42: `mode` applies only to Unix sockets"),
        (
            "listeners: [{address: 127.0.0.1:1, tls: {certificateChainFile: /nowhere}}]",
            "f:3:41: `privateKeyFile` is missing in `listeners[0].tls`; expected the path of a PEM file"
        ),
        (
            "callerTokens: {lifetime: 1h}",
            "f:3:15: `signingKeys` is missing in `callerTokens`; expected a list of {file: …} or {env: …}"
        ),
        (
            "callerTokens: {signingKeys: [{env: SECRET}]}",
            "f:3:30: the signing key has 1 bytes; expected at least 32 random bytes"
        ),
        (
            "audit: {file: /nowhere/audit.log}",
            "f:3:15: `file`: cannot write /nowhere/audit.log: No such file or directory"
        ),
        ("anonymousCaller: {skills: [wether]}", "f:3:28: there is no skill `wether`; did you mean `weather`?"),
        ("eventLoops: 0", "f:3:13: `eventLoops` is `0`; expected an integer from 1 to 256"),
        ("eventLoops: [1]", "f:3:13: `eventLoops` is not a single value; expected an integer from 1 to 256"),
        ("upstream: {trust: {caFile: /nowhere}}", "f:3:28: `caFile`: cannot read /nowhere: No such file or directory"),
    ])
    func `a mistake is named with its place and what is expected`(yaml: String, problem: String) {
        #expect(problems(Self.minimal + yaml) == [problem])
    }

    @Test(arguments: [
        "idempotency: {store: redis, redis: {url: 'redis://user:canary@h:x'}}",
        "upstream: {proxy: 'ftp://user:canary@h'}",
        "upstream: {proxy: 'http://user:canary@h'}", "tokenEndpoint: 'http://user:canary@h'",
        "admin: {address: [canary]}",
        "regions: {NA: {apiEndpoint: 'https://user:canary@h'}}", "regions: {NA: {aliases: ['https://user:canary@h']}}",
        "idempotency: {store: redis, redis: {url: 'redis://h', keyPrefix: 'canary canary'}}",
    ])
    func `what may hold a secret is not shown`(yaml: String) {
        let found = problems(Self.minimal + yaml)
        #expect(!found.isEmpty && !found.contains { $0.contains("canary") }, "\(found)")
        for name in ["TOKEN_ENDPOINT", "REGIONS_NA_API_ENDPOINT", "UPSTREAM_PROXY", "CALLERS_0_API_KEYS_0_SHA256"] {
            let found = problems(Self.minimal, ["SKILLGATE_\(name)": "ftp://user:canary@h"])
            #expect(!found.contains { $0.contains("canary") }, "\(found)")
        }
    }

    @Test func `an API key that looks like a token of the gateway's is refused`() {
        let yaml = Self.minimal.replacingOccurrences(of: "env: KEY", with: "env: TOKEN")
        let found = problems(yaml, ["TOKEN": "sgt_0123456789abcdef"])
        #expect(found.contains { $0.contains("starts with `sgt_`") && !$0.contains("0123") }, "\(found)")
    }

    @Test func `every mistake is reported at once`() {
        let yaml = """
            skills: [{name: a b}, {name: c, clientID: x, clientSecret: {env: NOTHING}}]
            callers: [{name: none, apiKeys: [{env: SECRET}], skills: []}]
            """
        #expect(
            problems(yaml) == [
                "f:1:10: `clientID` is missing in `skills[0]`; expected the client id of the skill's messaging credentials",
                "f:1:10: `clientSecret` is missing in `skills[0]`; expected {file: …} or {env: …}",
                "f:1:17: `name` is `a b`; expected a name of 1 to 64 letters, digits, `-`, `_` and `.`",
                "f:1:66: the environment variable `NOTHING` is not set",
                "f:2:18: the name `none` is taken",
                "f:2:34: the API key is not 16 to 1024 visible ASCII characters",
            ])
        #expect(problems("") == ["f:1:1: the file is empty; expected at least `skills` and `callers`"])
        #expect(problems("a: [").count == 1)
        #expect(
            problems("- a") == ["f:1:1: the document is not a mapping; expected members such as `skills` and `callers`"]
        )
        #expect(problems("{}").count == 2)
    }

    @Test func `the variable that send reads is no mistake`() {
        #expect(problems(Self.minimal, ["SKILLGATE_API_KEY": "sgk_canary"]).isEmpty)
    }

    @Test func `a variable that overrides nothing is a mistake, too`() {
        #expect(
            problems(Self.minimal, ["SKILLGATE_ADMIN_ADRESS": "x"]) == [
                "SKILLGATE_ADMIN_ADRESS: overrides nothing; did you mean `SKILLGATE_ADMIN_ADDRESS`?"
            ])
        #expect(
            problems(Self.minimal, ["SKILLGATE_ADMIN_ADDRESS": "x"]) == [
                "SKILLGATE_ADMIN_ADDRESS: `x` is not valid; expected an address such as 127.0.0.1:8080 or [::1]:8080"
            ])
    }

    @Test func `one key for two callers is a mistake`() {
        let yaml = """
            skills: [{name: weather, clientID: c, clientSecret: {env: SECRET}}]
            callers:
              - {name: a, apiKeys: [{env: KEY}], skills: [weather]}
              - {name: b, apiKeys: [{env: KEY}], skills: [weather]}
            """
        #expect(problems(yaml) == ["f:4:24: an API key of this caller also belongs to `a`"])
    }

    @Test(
        arguments: [
            (
                "skills: [weather]",
                "f:3:5: `callers[0]` has no credentials; expected `apiKeys`, `clientID`, `certificate` or `token`"
            ),
            (
                "skills: [weather], clientID: x, clientSecret: {env: KEY}",
                "f:3:44: `clientID` requires `callerTokens.signingKeys`"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], clientSecret: {env: KEY}",
                "f:3:71: `clientSecret` is given without `clientID`"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], idempotencyKeyFrom: []",
                "f:3:77: `idempotencyKeyFrom` names no source, so that no message has a key"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], reportOnly: [rate]",
                "f:3:69: `reportOnly` names `rate`, and the caller has no such rule; expected `rate` beside it"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], reportOnly: [idempotencyKey]",
                "f:3:69: `reportOnly` names `idempotencyKey`, and the caller has no such rule; expected `idempotencyKey: required` beside it"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], idempotencyKeyFrom: [field, field]",
                "f:3:77: `idempotencyKeyFrom` names a source twice"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], idempotencyKeyFrom: [content, field]",
                "f:3:77: `idempotencyKeyFrom` names sources behind `content`, which always has a key; expected it last"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], idempotencyKeyFrom: [header]",
                "f:3:78: an element of `idempotencyKeyFrom` is not `field`, `{data: NAME}` or `content`"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], idempotencyKeyFrom: [{data: a, x: b}]",
                "f:3:78: an element of `idempotencyKeyFrom` is not `field`, `{data: NAME}` or `content`"
            ),
            (
                "skills: [weather], certificate: {uri: a, dns: b}",
                "f:3:47: `certificate` requires exactly one name; expected {uri: …} or {dns: …}"
            ),
            (
                "skills: [weather], certificate: {uri: a}",
                "f:3:47: no listener requests client certificates; expected `tls.clientCAFile` in one"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], rate: {burst: 5}",
                "f:3:63: `perSecond` is missing in `callers[0].rate`; expected an integer from 1 to 1000000"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], rate: {perSecond: 5, scope: deployment}",
                "f:3:3: `rate.scope: deployment` of the caller `a` requires a store that all replicas share; expected `idempotency.store: redis`"
            ),
            (
                "skills: [weather], apiKeys: [{env: KEY}], maximumInFlight: 0",
                "f:3:74: `maximumInFlight` is `0`; expected an integer from 1 to 1000000"
            ),
            (
                "skills: [weather], token: {issuer: cluster, subject: s}",
                "f:3:41: there is no issuer `cluster`; expected the `name` of one in `issuers`"
            ),
        ])
    func `a caller's mistake is named`(members: String, problem: String) {
        let yaml = """
            skills: [{name: weather, clientID: c, clientSecret: {env: SECRET}}]
            callers:
              - {name: a, \(members)}
            """
        #expect(problems(yaml) == [problem])
    }

    @Test func `users can be shared only where replicas share a store`() {
        let yaml = """
            skills: [{name: weather, clientID: c, clientSecret: {env: SECRET}}]
            users: {shared: true}
            callers: [{name: a, skills: [weather], apiKeys: [{env: KEY}]}]
            """
        #expect(
            problems(yaml) == [
                "f:2:8: `users.shared` requires a store that all replicas share; expected `idempotency.store: redis`"
            ])
    }

    @Test(
        arguments: [
            ("issuer: i, audiences: [a]", "`jwks` is missing in `issuers[0]`"),
            ("issuer: i, jwks: 'http://example.org/keys', audiences: [a]", "`jwks` is not valid"),
            ("issuer: i, jwks: no-such-file, audiences: [a]", "`jwks`: cannot read no-such-file"),
            ("issuer: i, jwks: 'https://example.org/keys'", "`audiences` is missing in `issuers[0]`"),
            ("issuer: i, jwks: 'https://example.org/keys', audiences: []", "`audiences` is empty"),
            ("issuer: é, jwks: 'https://example.org/keys', audiences: [a]", "`issuer` is not valid"),
            (
                "issuer: i, jwks: 'https://example.org/keys', audiences: [a], algorithms: [RS256, HS256]",
                "an element of `algorithms` is `HS256`; expected `RS256` or"
            ),
            ("issuer: j, jwks: 'https://example.org/keys', audiences: [a], key: k", "unknown member `key`"),
        ])
    func `an issuer's mistake is named`(members: String, problem: String) {
        let yaml = """
            skills: [{name: weather, clientID: c, clientSecret: {env: SECRET}}]
            issuers:
              - {name: cluster, \(members)}
            callers: [{name: a, skills: [weather], apiKeys: [{env: KEY}]}]
            """
        let found = problems(yaml)
        #expect(found.count == 1 && found.first?.contains(problem) == true, "\(found)")
    }

    @Test func `two issuers share neither name nor claim, two callers no subject`() {
        let yaml = """
            skills: [{name: weather, clientID: c, clientSecret: {env: SECRET}}]
            issuers:
              - {name: cluster, issuer: i, jwks: 'https://example.org/keys', audiences: [a]}
              - {name: cluster, issuer: i, jwks: 'https://example.org/keys', audiences: [b]}
            callers:
              - {name: a, skills: [weather], token: {issuer: cluster, subject: s}}
              - {name: b, skills: [weather], token: {issuer: cluster, subject: s}}
            """
        #expect(
            problems(yaml) == [
                "f:4:12: there are two issuers named `cluster`",
                "f:4:29: the issuer is that of `cluster`, too; expected another",
                "f:7:41: the tokens of this subject also belong to `a`",
            ])
    }

    @Test func `whatever can change while the gateway runs needs no restart, and the rest is named`() throws {
        let running = try read(Self.minimal)
        var other = running
        other.namedCallers = []
        other.skills = []
        other.callerTokens = .init(signingSecrets: ["x"])
        #expect(other.membersThatNeedRestart(from: running) == [])
        other.admin.port = 1
        other.eventLoops = 9
        other.upstream.strict5xx = true
        #expect(other.membersThatNeedRestart(from: running) == ["eventLoops", "admin", "upstream"])
    }

    @Test func `what is in force is printed whole, as YAML, and without secrets`() throws {
        let yaml = """
            skills:
              - {name: weather, clientID: c, clientSecret: {env: SECRET_ONE}, nextClientSecret: {env: SECRET_TWO}, defaultRegion: EU}
            callers:
              - name: orders
                apiKeys: [{env: KEY}]
                clientID: orders-client
                clientSecret: {env: SECRET_THREE}
                rate: {perSecond: 5, burst: 9, scope: deployment}
                regions: [FE]
                skills: [weather]
            callerTokens: {signingKeys: [{env: SECRET_FOUR}], lifetime: 90m}
            anonymousCaller: {skills: [weather]}
            listeners: [{address: unix:/run/x.sock, mode: 0600, group: g}, {address: "[::1]:8080"}]
            idempotency:
              store: redis
              fingerprintKey: {env: SECRET_FIVE}
              redis: {url: "rediss://a,b:1/0", username: u, password: {env: SECRET_SIX}, sentinel: {master: m}}
            upstream: {deadline: 1500ms}
            """
        let secrets = ["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX"].map {
            ("SECRET_\($0)", "canary-\($0)-0123456789abcdef0123456789")
        }
        let configuration = try read(yaml, Dictionary(uniqueKeysWithValues: secrets))
        let text = try configuration.printed()
        #expect(!text.contains("canary") && !text.contains("orders-0123456789abcdef"))
        for part in [
            "- address: unix:/run/x.sock\n  mode: 0600\n  group: g\n", "- address: '[::1]:8080'\n",
            "admin:\n  address: 127.0.0.1:9090\n",
            "FE:\n    apiEndpoint: https://api.fe.amazonalexa.com\n    aliases:\n",
            "deadline: 1500ms\n", "connectTimeout: 2s\n",
            "clientSecret: redacted\n  nextClientSecret: redacted\n  defaultRegion: EU\n",
            "clientID: orders-client\n", "rate:\n    perSecond: 5\n    burst: 9\n", "lifetime: 90m\n",
            "anonymousCaller:\n  skills:\n  - weather\n", "retention: 1d\n", "url: rediss://a:6379,b:1/0\n",
            "sentinel:\n      master: m\n", "notice: 5s\n",
        ] {
            #expect(text.contains(part), "\(part) in\n\(text)")
        }
        // What is no secret can be read again, and is the same.
        let plain = try read(Self.minimal)
        let again = try plain.printed()
            .replacingOccurrences(of: "clientSecret: redacted", with: "clientSecret: {env: SECRET}")
            .replacingOccurrences(of: "sha256: [0-9a-f]*…", with: "env: KEY", options: .regularExpression)
        #expect(try read(again).printed() == plain.printed())
    }

    @Test func `what is printed of a TLS listener can be read again`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Certificate.make(in: folder)
        let files = "certificateChainFile: \(folder.path)/cert.pem, privateKeyFile: \(folder.path)/key.pem"
        let running = try read(Self.minimal + "listeners: [{address: 127.0.0.1:0, tls: {\(files)}}]")
        let printed = try running.printed()
            .replacingOccurrences(of: "clientSecret: redacted", with: "clientSecret: {env: SECRET}")
            .replacingOccurrences(of: "sha256: [0-9a-f]*…", with: "env: KEY", options: .regularExpression)
        #expect(try read(printed).listeners == running.listeners)
    }

    @Test(arguments: ["reference.yaml", "sidecar.yaml", "central.yaml"])
    func `the files that are shipped are good`(name: String) throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Config").standardizedFileURL.path
        let configuration = try GatewayConfiguration(file: "\(folder)/\(name)", environment: [:])
        #expect(!configuration.skills.isEmpty)
    }

    /// In a folder of its own, which `prepare` fills.
    private func problems(
        inFolder yaml: String, _ prepare: (String) throws -> Void
    ) throws -> [String] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("skillgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try prepare(folder.path)
        do {
            _ = try GatewayConfiguration(
                yaml: Self.minimal + yaml, fileName: "f", folder: folder.path,
                environment: ["SECRET": "s", "KEY": "0123456789abcdef"])
            return []
        } catch {
            return error.problems.map { $0.description.replacingOccurrences(of: folder.path, with: "") }
        }
    }

    @Test func `a secret that nobody writes is not waited for`() throws {
        let found = try problems(inFolder: "callerTokens: {signingKeys: [{file: fifo}]}") { folder in
            #expect(mkfifo(folder + "/fifo", 0o600) == 0)
        }
        #expect(found == ["f:3:37: `callerTokens.signingKeys[0]`: cannot read /fifo: it is not a regular file"])
    }

    @Test(arguments: [
        ("upstream: {trust: {caFile: text}}", "f:3:28: `caFile`: "),
        ("upstream: {trust: {caFile: fifo}}", "f:3:28: `caFile`: cannot read /fifo: it is not a regular file"),
        ("idempotency: {store: redis, redis: {url: 'rediss://h', tls: {caFile: text}}}", "f:3:61: `tls`: "),
        ("accessLog: {file: folder}", "f:3:19: `file`: cannot write /folder: it is a directory"),
        (
            "listeners: [{address: 127.0.0.1:1, tls: {certificateChainFile: fifo, privateKeyFile: text}}]",
            "it is not a regular file"
        ),
    ])
    func `what could not be used is found before it is`(yaml: String, problem: String) throws {
        let found = try problems(inFolder: yaml) { folder in
            #expect(mkfifo(folder + "/fifo", 0o600) == 0)
            try Data("no PEM".utf8).write(to: URL(fileURLWithPath: folder + "/text"))
            try FileManager.default.createDirectory(atPath: folder + "/folder", withIntermediateDirectories: true)
        }
        #expect(found.count == 1 && found[0].contains(problem), "\(found)")
    }

    @Test(arguments: [
        ("skills: [{name: none, clientID: c, clientSecret: {env: SECRET}}]", "the name `none` is reserved"),
        ("a\u{1b}b: 1", "f:3:2: there is a control character, U+001B"),
        ("\"a\\eb\": 1", "f:3:1: unknown member `a\\u{1b}b`"),
        ("a: [*x]", "not YAML"),
    ])
    func `what is wrong has one line and its place`(yaml: String, problem: String) {
        let text = yaml.hasPrefix("skills") ? yaml + "\n" + Self.minimal.split(separator: "\n")[1] : Self.minimal + yaml
        let found = problems(String(text))
        #expect(found.contains { $0.contains(problem) && !$0.contains("\n") && !$0.contains("\u{1b}") }, "\(found)")
    }

    @Test(arguments: [
        (
            "address: 'unix:/nowhere/x.sock'",
            "f:3:23: `address`: cannot create a socket in /nowhere: No such file or directory"
        ),
        ("address: 'unix:/etc/passwd'", "f:3:23: `address`: /etc/passwd exists and is not a socket"),
        ("address: 'unix:/tmp/x.sock', owner: nobody-at-all", "f:3:50: there is no user `nobody-at-all`"),
        ("address: 'unix:/tmp/x.sock', group: nobody-at-all", "f:3:50: there is no group `nobody-at-all`"),
    ])
    func `what this machine lacks is found where it is to run`(listener: String, problem: String) throws {
        let configuration = try read(Self.minimal + "listeners: [{\(listener)}]")
        #expect(configuration.checks.compactMap { $0()?.description } == [problem])
    }

    @Test(arguments: [
        ("{address: '0.0.0.0:1'}", "which others can reach; expected a loopback address"),
        ("{address: '[::]:1'}", "which others can reach; expected a loopback address"),
        ("{address: 'gateway.example:1', operators: []}", "which others can reach; expected a loopback address"),
        ("{address: '0.0.0.0:1', openTo: everything}", "`admin.openTo: everything` on 0.0.0.0"),
        ("{address: '10.0.0.1:1', operators: [\(anna)]}", "their keys would be sent in clear"),
        ("{address: '10.0.0.1:1', openTo: metrics, operators: [\(anna)]}", "their keys would be sent in clear"),
        ("{openTo: nothing}", "`openTo` is `nothing`"),
        ("{operators: [\(anna), \(anna)]}", "the name `anna` is taken"),
        (
            "{operators: [\(anna), {name: bert, keys: [{sha256: \(hash)}]}]}",
            "a key of operator `bert` is that of another"
        ),
        ("{operators: [{name: anna}]}", "`keys` is missing or empty"),
        ("{operators: [{name: anna, keys: []}]}", "`keys`"),
        ("{operators: [{keys: [{sha256: \(hash)}]}]}", "`name` is missing"),
    ])
    func `an admin listener that is open without being meant so is refused`(admin: String, problem: String) throws {
        let problems = problems(Self.minimal + "admin: \(admin)")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test(arguments: ["{openTo: metrics}", "{operators: [\(anna)]}", "{address: '[::1]:1', openTo: everything}"])
    func `an admin listener on loopback needs nothing`(admin: String) throws {
        #expect(problems(Self.minimal + "admin: \(admin)").isEmpty)
    }

    private static let hash = String(repeating: "0f", count: 32)
    private static let anna = "{name: anna, keys: [{sha256: \(hash)}]}"

    @Test(arguments: [
        ("idempotency: {redis: {url: 'redis://h'}}", "f:3:22: `redis` is ignored because `store` is `memory`"),
        ("upstream: {deadline: 1s}", "f:3:22: `connectTimeout` is longer than `deadline`"),
        ("upstream: {deadline: 1s, connectTimeout: 1s}", nil),
        ("admin: {address: '0.0.0.0:9091', openTo: metrics}", nil),
        ("listeners: [{address: 0.0.0.0:9090}]", "f:3:12: a listener and the admin listener are both on port 9090"),
        ("listeners: [{address: 10.1.1.1:9090}]", nil),
        ("listeners: [{address: 127.0.0.1:0}]\nadmin: {address: 127.0.0.1:0}", nil),
    ])
    func `what works, and is hardly meant, is warned of`(yaml: String, warning: String?) throws {
        let warnings = try read(Self.minimal + yaml).warnings.map(\.description)
        #expect(warnings.count == (warning == nil ? 0 : 1))
        #expect(warnings.allSatisfy { $0.hasPrefix(warning ?? "") })
    }

    @Test func `a password that goes out in clear is warned of`() throws {
        let secrets = ["PASSWORD": "p"]
        for (url, warnings) in [("redis://h", 1), ("redis://127.0.0.1", 0), ("rediss://h", 0)] {
            let yaml = "idempotency: {store: redis, redis: {url: '\(url)', password: {env: PASSWORD}}}"
            #expect(try read(Self.minimal + yaml, secrets).warnings.count == warnings)
        }
    }
}
