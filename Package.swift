// swift-tools-version: 6.2
import PackageDescription

/// Set once for every target of ours: warnings are errors, and the language's coming defaults are already on.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // Release only: the compiler has proven most accesses exclusive, debug builds and their tests check the rest, and
    // checking them again for every message costs about 3 % of its CPU.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// Release only: the Swift runtime and Foundation are part of the executable, so that it runs where no Swift is
/// installed, and a call of the runtime, of which a message makes hundreds, does not go through a table. The libraries are
/// those that Foundation's own objects name; lld takes them in any order. Relocations are packed, which saves their
/// memory; glibc reads them from 2.36 on (Debian 12).
let staticRuntime: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-static-stdlib", "-use-ld=lld", "-l_FoundationICU", "-lCoreFoundation", "-l_FoundationCShims",
            "-l_FoundationCollections", "-lstdc++", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs",
        ], .when(configuration: .release))
]

/// For measurements only: parts of the work on a message that are left out, to show what they cost.
let leftOut: [SwiftSetting] = (Context.environment["SKILLGATE_WITHOUT"] ?? "").split(separator: ",").map {
    .define("SKILLGATE_WITHOUT_\($0.uppercased())")
}

/// With coverage and AddressSanitizer, for `Tests/fuzz`.
let isFuzzed = Context.environment["SKILLGATE_FUZZ"] != nil

/// Benchmarks of the pure parts need a package that nothing else does.
let withBenchmarks = Context.environment["SKILLGATE_BENCHMARKS"] != nil

// Products of other packages.
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHPACK: Target.Dependency = .product(name: "NIOHPACK", package: "swift-nio-http2")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let swiftASN1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let serviceLifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let jwtKit: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")

let package = Package(
    name: "skillgate",
    products: [
        .executable(name: "skillgate", targets: ["skillgate"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    ],
    targets: [
        .target(name: "CPrefetch"),
        // The rules of forwarding: no sockets, no files, no clocks of its own.
        .target(
            name: "GatewayCore",
            dependencies: ["CPrefetch", nioCore, crypto],
            swiftSettings: settings + leftOut
        ),

        .target(
            name: "TransportSecurity",
            dependencies: ["GatewayCore", crypto, cryptoExtras, nioCore, nioPosix, nioSSL, swiftASN1],
            swiftSettings: settings
        ),

        // The data plane: what every message passes.
        .target(
            name: "GatewayServer",
            dependencies: ["GatewayCore", "TransportSecurity", nioCore, nioPosix, nioSSL, nioTLS],
            swiftSettings: settings
        ),
        .target(
            name: "GatewayUpstream",
            dependencies: ["GatewayCore", "TransportSecurity", nioCore, nioPosix, nioSSL, nioTLS],
            swiftSettings: settings
        ),
        .target(
            name: "GatewayRedis",
            dependencies: ["GatewayCore", "TransportSecurity", crypto, nioCore, nioPosix, nioSSL, nioTLS],
            swiftSettings: settings
        ),

        .target(
            name: "GatewayFiles",
            dependencies: ["GatewayCore", nioCore, nioPosix],
            swiftSettings: settings
        ),

        // The control plane: what is rare.
        .target(
            name: "GatewayAdmin",
            dependencies: ["GatewayCore", logging, nioCore],
            resources: [.embedInCode("Page")],
            swiftSettings: settings
        ),
        .systemLibrary(
            name: "CCurl",
            pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev", "libssl-dev"])]
        ),
        .target(
            name: "TokenEndpointClient",
            dependencies: ["CCurl", "GatewayCore", nioCore],
            swiftSettings: settings
        ),
        // What machines are told.
        .target(
            name: "GatewayEvents",
            dependencies: ["GatewayCore", crypto, nioCore],
            swiftSettings: settings
        ),
        // What a tracing system is told.
        .target(
            name: "GatewayTraces",
            dependencies: ["GatewayCore", nioCore],
            swiftSettings: settings
        ),
        // Callers' JSON Web Tokens. Nothing else knows the library that verifies them.
        .target(
            name: "WebTokens",
            dependencies: ["GatewayCore", crypto, jwtKit, nioCore],
            swiftSettings: settings
        ),

        // An independent opinion of Amazon's wire: it imports nothing of ours.
        .target(
            name: "AlexaSimulator",
            dependencies: [
                hummingbird,
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdHTTP2", package: "hummingbird"),
                nioCore,
                nioSSL,
                logging,
                serviceLifecycle,
                yams,
            ],
            resources: [.embedInCode("Page")],
            swiftSettings: settings
        ),

        // Commands and wiring.
        .target(
            name: "CBuild",
            cSettings: [
                .define("SKILLGATE_REVISION", to: "\"\(Context.gitInformation?.currentCommit ?? "unknown")\"")
            ]
        ),
        .executableTarget(
            name: "skillgate",
            dependencies: [
                "AlexaSimulator",
                "CBuild",
                "GatewayAdmin",
                "GatewayCore",
                "GatewayEvents",
                "GatewayTraces",
                "GatewayFiles",
                "GatewayRedis",
                "GatewayServer",
                "GatewayUpstream",
                "TransportSecurity",
                "TokenEndpointClient",
                "WebTokens",
                argumentParser,
                crypto,
                hummingbird,
                logging,
                nioCore,
                nioPosix,
                serviceLifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                yams,
            ],
            swiftSettings: settings,
            linkerSettings: staticRuntime
        ),

        // Real servers for tests, each a process of its own.
        .target(name: "TestSupport", dependencies: [crypto], path: "Tests/Support", swiftSettings: settings),
        // What every store does, for the tests of each.
        .target(
            name: "StoreContract",
            dependencies: ["GatewayCore", nioCore],
            path: "Tests/StoreContract",
            swiftSettings: settings
        ),
        // The whole flow in virtual time; a short run is a test, any length a command.
        .target(
            name: "FlowSimulation",
            dependencies: ["GatewayCore", "GatewayFiles", "GatewayRedis", "TestSupport", crypto, nioCore, nioPosix],
            path: "Tests/Simulation",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "simulation",
            dependencies: ["FlowSimulation", argumentParser],
            path: "Tests/SimulationCommand",
            swiftSettings: settings
        ),
        .testTarget(name: "AlexaSimulatorTests", dependencies: ["AlexaSimulator"], swiftSettings: settings),
        .testTarget(
            name: "GatewayAdminTests", dependencies: ["GatewayAdmin", "GatewayCore"], swiftSettings: settings),
        .testTarget(
            name: "GatewayCoreTests",
            dependencies: ["FlowSimulation", "GatewayCore", "TestSupport", crypto, nioCore, nioEmbedded, nioHPACK],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GatewayServerTests",
            dependencies: [
                "GatewayCore", "GatewayServer", "TestSupport", "TransportSecurity", nioCore, nioEmbedded, nioHPACK,
                nioPosix, nioSSL,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GatewayUpstreamTests",
            dependencies: ["GatewayCore", "GatewayUpstream", "TestSupport", nioCore, nioEmbedded, nioHPACK],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GatewayRedisTests",
            dependencies: [
                "GatewayCore", "GatewayRedis", "StoreContract", "TestSupport", nioCore, nioEmbedded, nioPosix,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GatewayFilesTests",
            dependencies: ["GatewayCore", "GatewayFiles", "StoreContract", nioCore, nioEmbedded, nioPosix],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GatewayEventsTests",
            dependencies: ["GatewayCore", "GatewayEvents", nioCore, nioEmbedded],
            swiftSettings: settings
        ),
        .testTarget(
            name: "GatewayTracesTests",
            dependencies: ["GatewayCore", "GatewayTraces", nioCore, nioEmbedded],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WebTokensTests",
            dependencies: ["GatewayCore", "TestSupport", "WebTokens", jwtKit, nioCore, nioEmbedded],
            exclude: ["Vectors"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "SkillgateTests",
            dependencies: [
                "skillgate",
                "AlexaSimulator",
                "GatewayCore",
                "GatewayRedis",
                "GatewayServer",
                "GatewayUpstream",
                "TestSupport",
                "TokenEndpointClient",
                logging,
                yams,
            ],
            swiftSettings: settings
        ),
        // The whole gateway as a process, against the simulator.
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "skillgate", "GatewayCore", "TestSupport", "TokenEndpointClient", nioCore, nioPosix, nioSSL,
            ],
            exclude: ["Python"],
            swiftSettings: settings
        ),
    ],
    swiftLanguageModes: [.v6]
)

// What strangers' bytes are thrown at: part of a test as a rule, since it sees what others do not, and a library for the fuzzer.
let fuzzedTargets: [Target.Dependency] = [
    "GatewayCore",
    "GatewayRedis",
    "GatewayServer",
    "GatewayUpstream",
    "TokenEndpointClient",
    "WebTokens",
    crypto,
    nioCore,
    nioEmbedded,
]
if isFuzzed {
    package.targets.append(
        .target(
            name: "FuzzTargets", dependencies: fuzzedTargets, path: "Tests/FuzzTests/Targets", swiftSettings: settings))
    let fuzzed = [
        "GatewayCore", "GatewayRedis", "GatewayServer", "GatewayUpstream", "TokenEndpointClient",
        "WebTokens", "FuzzTargets",
    ]
    for target in package.targets where fuzzed.contains(target.name) {
        // Coverage without the fuzzer's own main, which `fuzz` alone has.
        target.swiftSettings =
            (target.swiftSettings ?? []) + [
                .unsafeFlags(["-sanitize=address", "-sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp"])
            ]
    }
    package.targets.append(
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz/Entry",
            swiftSettings: settings + [.unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library"])],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
    package.products.append(.executable(name: "fuzz", targets: ["fuzz"]))
} else {
    package.targets.append(
        .testTarget(
            name: "FuzzTests", dependencies: ["skillgate", "TestSupport"] + fuzzedTargets, swiftSettings: settings))
}

if withBenchmarks {
    // Without its traits: they bring an allocator and hooks of their own.
    package.dependencies.append(.package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []))
    package.targets += [
        .target(name: "CAllocationCounter", path: "Tests/Benchmarks/CAllocationCounter"),
        .executableTarget(
            name: "GatewayCoreBenchmarks",
            dependencies: [
                "CAllocationCounter",
                "GatewayCore",
                .product(name: "Benchmark", package: "benchmark"),
                crypto,
                nioCore,
                nioEmbedded,
            ],
            path: "Tests/Benchmarks/GatewayCore",
            swiftSettings: settings,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        ),
    ]
}
