import GatewayCore
import Testing

@testable import skillgate

@Suite struct TelemetryEnvironmentTests {
    private func read(_ variables: [String: String]) -> TelemetryEnvironment { TelemetryEnvironment(variables) }

    private func url(_ variables: [String: String]) -> String {
        read(["OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"].merging(variables) { $1 }).traces.url
    }

    @Test func `without variables nothing is said`() {
        let environment = read(["OTHER": "x", "OTEL_SERVICE_NAME": ""])
        #expect(environment.traces == GatewayConfiguration.TracesConfiguration() && environment.warnings.isEmpty)
    }

    @Test func `the URL of traces wins over that of all signals, to which a path is appended`() {
        #expect(url([:]) == "http://c:4318/v1/traces")
        #expect(url(["OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp/"]) == "https://c/otlp/v1/traces")
        #expect(url(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/path"]) == "https://t/path")
        #expect(url(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ""]) == "http://c:4318/v1/traces")
    }

    @Test func `who wants no traces, or other than HTTP, gets none`() {
        #expect(url(["OTEL_SDK_DISABLED": "TRUE"]).isEmpty)
        #expect(url(["OTEL_TRACES_EXPORTER": "none"]).isEmpty)
        #expect(url(["OTEL_TRACES_EXPORTER": "console,otlp"]) == "http://c:4318/v1/traces")
        #expect(url(["OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"]) == "http://c:4318/v1/traces")
        #expect(url(["OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"]).isEmpty)
        #expect(
            url(["OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"])
                == "http://c:4318/v1/traces")
    }

    @Test(
        arguments: [
            ("always_on", nil, 1, false), ("always_off", "0.5", 0, false), ("traceidratio", "0.25", 0.25, false),
            ("parentbased_always_on", nil, 1, true), ("parentbased_always_off", nil, 0, true),
            ("parentbased_traceidratio", "1e-2", 0.01, true), ("traceidratio", nil, 1, false),
        ] as [(String, String?, Double, Bool)]) func `each sampler is a ratio, and whether callers decide`(
            sampler: String, argument: String?, ratio: Double, isParentBased: Bool
        )
    {
        var variables = ["OTEL_TRACES_SAMPLER": sampler]
        variables["OTEL_TRACES_SAMPLER_ARG"] = argument
        let traces = read(variables).traces
        #expect(traces.sampling.ratio == ratio && traces.sampling.isParentBased == isParentBased)
    }

    @Test func `a resource has attributes and a name`() {
        let traces = read(["OTEL_RESOURCE_ATTRIBUTES": "service.name=a%2Cb, x = y "]).traces
        #expect(traces.serviceName == "a,b" && traces.resourceAttributes == [" x = y "])
        #expect(TelemetryPairs.pair(" x = y ").map { [$0.name, $0.value] } == ["x", "y"])
        let named = read(["OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"]).traces
        #expect(named.serviceName == "b")
    }

    @Test(arguments: [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"), ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0D%0Ac: d"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Content-Length=5"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a="), ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nope"),
        ("OTEL_SERVICE_NAME", "a\nb"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/zero"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
    ]) func `what cannot be read is warned of, and changes nothing`(name: String, text: String) {
        let environment = read([name: text])
        #expect(environment.traces == GatewayConfiguration.TracesConfiguration())
        #expect(environment.warnings.map(\.variable) == [name])
    }

    @Test func `a ratio that is none is warned of`() {
        for text in ["2", "-0.1", "nan", "0x1p-1", "1e", "", "half"] {
            let environment = read(["OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": text])
            #expect(environment.traces.sampling.ratio == 1)
            #expect(environment.warnings.map(\.variable) == (text.isEmpty ? [] : ["OTEL_TRACES_SAMPLER_ARG"]))
        }
    }
}
