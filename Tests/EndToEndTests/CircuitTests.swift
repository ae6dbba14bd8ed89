import Foundation
import TestSupport
import Testing
import TokenEndpointClient

/// A region that is gone, and comes back; and one that has too much to do.
@Suite(.serialized) struct CircuitTests {
    private static let refused = "regions: {NA: {apiEndpoint: http://127.0.0.1:@PORT@}}"

    @Test func `a region that takes no connections is left alone, and found to be back without a message`() async throws
    {
        let port = try FreePort.find()
        let regions = Self.refused.replacingOccurrences(of: "@PORT@", with: String(port))
        try await TestBed.run(configuration: "eventLoops: 1", regions: regions) { bed in
            for _ in 0..<5 { #expect(try await bed.send("NA-1").status == 502) }
            let answer = try await bed.send("NA-1")
            #expect(answer.status == 503)
            #expect(answer.text.contains("urn:skillgate:problem:circuit-open"))
            #expect(answer.field("Retry-After") != nil)
            #expect(
                answer.field("Proxy-Status") == #"skillgate; error=destination_unavailable; details="circuit-open""#)
            try await bed.untilMetric(#"skillgate_circuit_state{region="NA"}"#, isAnyOf: [1, 2])
            _ = try await bed.gateway.line(with: "circuit open: region not responding")
            let readiness = try await TestBed.transfer("GET", bed.adminURL + "/readyz")
            #expect(readiness.status == 200 && readiness.text.contains(#""circuit":"#))

            let simulator = try RunningProcess(
                RunningProcess.skillgate, ["simulate", "--listen", "127.0.0.1:\(port)"])
            defer { simulator.signal(SIGKILL) }
            _ = try await bed.gateway.line(with: "circuit closed")
            try await bed.untilMetric(#"skillgate_circuit_state{region="NA"}"#, is: 0)
            // There is something that answers now, though not at this path.
            #expect(try await bed.send("NA-1").status == 404)
        }
    }

    @Test func `a region that answers nothing is left alone; the others go on`() async throws {
        let configuration = "eventLoops: 1\nupstream: {deadline: 500ms}"
        try await TestBed.run(configuration: configuration, faults: #"{"NA": {"connection": "hang"}}"#) { bed in
            let hung = try await withThrowingTaskGroup(of: Int.self) { tasks in
                for _ in 0..<5 { tasks.addTask { try await bed.send("NA-1").status } }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            #expect(hung == [504, 504, 504, 504, 504])
            #expect(try await bed.send("NA-1").status == 503)
            #expect(try await bed.send("EU-1", ["Gateway-Region": "EU"]).status == 202)
        }
    }

    @Test func `callers in a hurry do not close a slow region to the others`() async throws {
        try await TestBed.run(configuration: "eventLoops: 1", faults: #"{"NA": {"connection": "hang"}}"#) { bed in
            let hurried = try await withThrowingTaskGroup(of: HTTPTransfer.Response.self) { tasks in
                for _ in 0..<12 {
                    tasks.addTask { try await bed.send("NA-1", ["Gateway-Region": "NA", "Gateway-Timeout": "0.3"]) }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            #expect(hurried.allSatisfy { $0.status == 504 && $0.text.contains("outcome-unknown") }, "\(hurried)")
            try await bed.setFaults("{}")
            #expect(try await bed.send("NA-1").status == 202)
        }
    }

    @Test func `a region that takes connections and answers nothing does not look healthy`() async throws {
        let server = try CuttingServer()
        defer { server.stop() }
        server.cut(.silence)
        try await TestBed.run(
            configuration: "eventLoops: 1\nupstream: {deadline: 500ms, connectTimeout: 250ms}",
            regions: "regions: {NA: {apiEndpoint: http://127.0.0.1:\(server.port)}}"
        ) { bed in
            for _ in 0..<5 { #expect(try await bed.send("NA-1").status == 504) }
            let messages = server.requests
            // Through two probes that are not answered: never closed, and no message is risked.
            for _ in 0..<20_000 where server.requests < messages + 2 {
                #expect(try await bed.send("NA-1").status == 503)
            }
            #expect(server.requests == messages + 2)
            let answer = "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            server.cut(.answer(answer, after: answer.utf8.count, byReset: false))
            try await bed.untilMetric(#"skillgate_circuit_state{region="NA"}"#, is: 0)
        }
    }

    @Test(arguments: [400, 403, 404, 429, 500, 503])
    func `answers never open it`(status: Int) async throws {
        try await TestBed.run(configuration: "eventLoops: 1", faults: #"{"NA": {"status": \#(status)}}"#) { bed in
            for _ in 0..<12 { #expect(try await bed.send("NA-1").status == status) }
            try await bed.untilMetric(#"skillgate_circuit_state{region="NA"}"#, is: 0)
        }
    }

    @Test func `one skill's 429s leave the limit of the region alone`() async throws {
        let metric = #"skillgate_upstream_in_flight_limit{region="EU"}"#
        try await TestBed.run(
            configuration: "eventLoops: 1\nupstream: {maximumConnectionsPerRegion: 5}",
            faults: #"{"EU": {"status": 429}}"#
        ) { bed in
            let fields = ["Gateway-Region": "EU", "Gateway-Skill": "weather"]
            for _ in 0..<30 { #expect(try await bed.send("EU-1", fields).status == 429) }
            try await bed.untilMetric(metric, is: 5)
        }
    }

    @Test func `503 lowers the limit of messages in flight, and answers raise it again`() async throws {
        let configuration = "eventLoops: 1\nupstream: {maximumConnectionsPerRegion: 5}"
        let metric = #"skillgate_upstream_in_flight_limit{region="NA"}"#
        try await TestBed.run(configuration: configuration, faults: #"{"NA": {"status": 503}}"#) { bed in
            try await bed.untilMetric(metric, is: 5)
            for _ in 0..<10 { #expect(try await bed.send("NA-1").status == 503) }
            try await bed.untilMetric(metric, is: 4)
            try await bed.setFaults("{}")
            let statuses = try await Traffic.flow(
                by: { .tcp(port: bed.port) }, senders: 8, request: { _ in bed.request(user: "NA-1") }
            ) { _ in try await bed.untilMetric(metric, is: 5) }
            #expect(Set(statuses.keys) == [202])
        }
    }
}
