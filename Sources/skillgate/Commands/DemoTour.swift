import TokenEndpointClient

/// The main job, step by step: sends, prints what went out and what came back, and compares it with what is promised.
struct DemoTour: Sendable {
    let gateway: String
    let admin: String
    let simulator: String

    private static let content = #"{"data":{"order":"1234","state":"shipped"},"expiresAfterSeconds":3600}"#

    /// True if every step was as promised.
    func run() async -> Bool {
        var steps = Steps()
        await waitUntilReady(&steps)
        await regions(&steps)
        await duplicates(&steps)
        await receipts(&steps)
        await revokedToken(&steps)
        await refusals(&steps)
        await strangers(&steps)
        await metrics(&steps)
        steps.finish()
        return steps.failures == 0
    }

    private func waitUntilReady(_ steps: inout Steps) async {
        steps.title("Ready once a skill has an access token")
        var ready = await get("\(admin)/readyz")
        for _ in 0..<100 where ready?.status != 200 {
            try? await Task.sleep(for: .milliseconds(20))
            ready = await get("\(admin)/readyz")
        }
        steps.show(ready)
        steps.expect("GET /readyz answers 200", ready?.status == 200)
    }

    private func regions(_ steps: inout Steps) async {
        steps.title("A message to a user of each region")
        for region in ["NA", "EU", "FE"] {
            let answer = await send(to: "\(region)-1", ["Gateway-Region": region], &steps)
            steps.expect("accepted in \(region)", answer?.status == 202 && answer?.field("Gateway-Region") == region)
        }
        let answer = await send(
            to: "EU-2", ["Gateway-Api-Endpoint": "https://api.eu.amazonalexa.com"], &steps)
        steps.expect("the user's apiEndpoint also determines the region", answer?.field("Gateway-Region") == "EU")
    }

    private func duplicates(_ steps: inout Steps) async {
        steps.title("The same idempotency key again: the first response is replayed, no second message is sent")
        let fields = ["Gateway-Region": "NA", "Idempotency-Key": "\"order-1234\""]
        let first = await send(to: "NA-2", fields, &steps)
        let again = await send(to: "NA-2", fields, &steps)
        steps.expect("both are 202", first?.status == 202 && again?.status == 202)
        steps.expect(
            "the second is marked as a replay and has the request id of the first",
            again?.field("Idempotent-Replayed") == "true" && first?.field("Idempotent-Replayed") == nil
                && again?.field("X-Amzn-RequestId") == first?.field("X-Amzn-RequestId"))
        steps.expect("the simulator accepted one", await accepted(by: "NA-2") == 1)

        steps.title("Two concurrent requests with one key: one message is sent, both get its response")
        await setFaults(#"{"NA": {"latencyMilliseconds": 300}}"#)
        let concurrent = ["Gateway-Region": "NA", "Idempotency-Key": "\"order-1235\""]
        async let one = transfer(to: "NA-3", concurrent)
        async let other = transfer(to: "NA-3", concurrent)
        let answers = [await one, await other]
        for answer in answers { steps.show(answer) }
        steps.expect("both are 202", answers.allSatisfy { $0?.status == 202 })
        steps.expect(
            "one of them is marked as a replay",
            answers.filter { $0?.field("Idempotent-Replayed") == "true" }.count == 1)
        steps.expect("the simulator accepted one", await accepted(by: "NA-3") == 1)
        await clearFaults()
    }

    /// Amazon accepts a message, and its answer is lost: nobody knows, until the skill has the message.
    private func receipts(_ steps: inout Steps) async {
        steps.title("The response is lost: the outcome is unknown, until the skill reports the message")
        await setFaults(
            #"{"EU": {"connection": "resetAfterRead", "accept": true}, "skill": {"receiptsLate": 1, "lateMilliseconds": 400}}"#
        )
        let fields = [
            "Gateway-Region": "EU", "Idempotency-Key": "\"news-1\"",
            "Authorization": "Bearer \(DemoConfiguration.newsKey)",
        ]
        let lost = await send(to: "EU-6", fields, &steps)
        steps.expect("the sender gets 504, and nothing is sent again", lost?.status == 504)
        let authorization = ["Authorization": "Bearer \(DemoConfiguration.newsKey)"]
        var key: HTTPTransfer.Response?
        for _ in 0..<250 where key?.text.contains("receivedAt") != true {
            try? await Task.sleep(for: .milliseconds(20))
            key = await request("GET", "\(gateway)/v1/idempotency-keys/news-1", authorization)
        }
        steps.detail("GET /v1/idempotency-keys/news-1")
        steps.show(key)
        steps.expect("the skill has received it", key?.text.contains("receivedAt") == true)
        let retry = await send(to: "EU-6", fields, &steps)
        steps.expect(
            "the retry gets 202 by the receipt",
            retry?.status == 202 && retry?.field("Gateway-Outcome") == "receipt")
        steps.expect("the simulator accepted one", await accepted(by: "EU-6") == 1)
        await clearFaults()
    }

    private func revokedToken(_ steps: inout Steps) async {
        steps.title("Amazon revokes the token: one fetch and one resend recover from the 403")
        _ = await request("POST", "\(simulator)/_simulator/tokens/revoke")
        let answer = await send(to: "NA-4", ["Gateway-Region": "NA"], &steps)
        steps.expect("the message is still accepted", answer?.status == 202)
        let counters = await get("\(simulator)/_simulator/counters")
        steps.expect(
            "one for each of two skills, and one more", counters?.text.contains(#""tokenFetches":3"#) == true)
    }

    private func refusals(_ steps: inout Steps) async {
        steps.title("Error responses from Amazon are passed through unchanged")
        for status in [400, 404, 429, 500] {
            await setFaults(#"{"EU": {"status": \#(status), "retryAfter": 7}}"#)
            let answer = await send(to: "EU-5", ["Gateway-Region": "EU"], &steps)
            steps.expect(
                "\(status) with Amazon's content and Retry-After",
                answer?.status == status && answer?.text == #"{"message":"simulated status \#(status)"}"#
                    && answer?.field("Retry-After") == "7")
        }
        await setFaults(#"{"EU": {"status": 500, "body": "html"}}"#)
        let html = await send(to: "EU-5", ["Gateway-Region": "EU"], &steps)
        steps.expect(
            "HTML is wrapped so that Amazon's SDKs can parse it", html?.text.hasPrefix(#"{"message":"<html>"#) == true)
        await clearFaults()
        let gone = await send(to: "GONE-1", ["Gateway-Region": "NA"], &steps)
        steps.expect("a user who no longer exists gets 404", gone?.status == 404)
    }

    private func strangers(_ steps: inout Steps) async {
        steps.title("Unauthorized callers and invalid messages are refused; nothing is sent")
        let stranger = await send(
            to: "NA-6", ["Gateway-Region": "NA", "Authorization": "Bearer somebody-elses-key"], &steps)
        steps.expect("an unknown API key gets 401", stranger?.status == 401)
        let invalid = await send(
            to: "NA-6", ["Gateway-Region": "NA"], &steps, content: #"{"data":{},"expiresAfterSeconds":5}"#)
        steps.expect(
            "an invalid member gets 400 and is named",
            invalid?.status == 400
                && invalid?.text.contains("expiresAfterSeconds") == true)
        steps.expect("the simulator accepted none", await accepted(by: "NA-6") == 0)
    }

    private func metrics(_ steps: inout Steps) async {
        steps.title("The same activity in the metrics")
        let page = await get("\(admin)/metrics")
        let lines = (page?.text ?? "").split(separator: "\n").filter { $0.hasPrefix("skillgate_messages_total") }
        for line in lines.sorted() { steps.detail(String(line)) }
        steps.expect(
            "messages are counted by caller, skill, region, status and source",
            lines.contains {
                $0.hasPrefix(
                    #"skillgate_messages_total{caller="orders",skill="weather",region="NA",status="202",source="replay"} "#
                )
            })
    }

    // MARK: Requests

    private func send(
        to user: String, _ fields: [String: String], _ steps: inout Steps, content: String = content
    ) async -> HTTPTransfer.Response? {
        steps.detail("POST /v1/skillmessages/users/amzn1.ask.account.\(user)")
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { steps.detail("  \(name): \(value)") }
        let answer = await transfer(to: user, fields, content: content)
        steps.show(answer)
        return answer
    }

    private func transfer(
        to user: String, _ fields: [String: String], content: String = content
    ) async -> HTTPTransfer.Response? {
        var all = fields
        all["Authorization"] = all["Authorization"] ?? "Bearer \(DemoConfiguration.apiKey)"
        all["Content-Type"] = "application/json"
        return await request(
            "POST", "\(gateway)/v1/skillmessages/users/amzn1.ask.account.\(user)", all, content)
    }

    private func accepted(by user: String) async -> Int {
        let answer = await get("\(simulator)/_simulator/messages?userId=amzn1.ask.account.\(user)")
        return (answer?.text ?? "").ranges(of: #""requestId""#).count
    }

    private func setFaults(_ faults: String) async {
        _ = await request("PUT", "\(simulator)/_simulator/faults", [:], faults)
    }

    private func clearFaults() async {
        _ = await request("DELETE", "\(simulator)/_simulator/faults")
    }

    private func get(_ url: String) async -> HTTPTransfer.Response? { await request("GET", url) }

    private func request(
        _ method: String, _ url: String, _ fields: [String: String] = [:], _ content: String = ""
    ) async -> HTTPTransfer.Response? {
        let fields = fields.map { (name: $0.key, value: $0.value) }
        return try? await HTTPTransfer(method, url, fields: fields, content: Array(content.utf8)).perform()
    }
}

/// Prints the tour and keeps count.
private struct Steps {
    private(set) var failures = 0
    private var expectations = 0
    private var number = 0

    mutating func title(_ text: String) {
        number += 1
        print("\n\(number). \(text)")
    }

    func detail(_ text: String) { print("     \(text)") }

    func show(_ answer: HTTPTransfer.Response?) {
        guard let answer else { return detail("  → no answer") }
        let shown = [
            "Gateway-Region", "X-Amzn-RequestId", "Idempotent-Replayed", "Gateway-Outcome", "Retry-After",
            "Proxy-Status",
        ]
        let fields = answer.fields.filter { shown.contains($0.name) }.map { "\($0.name): \($0.value)" }
        detail("  → \(answer.status)  \(fields.joined(separator: "  "))")
        if !answer.content.isEmpty { detail("    \(answer.text.prefix(160))") }
    }

    mutating func expect(_ promise: String, _ isKept: Bool) {
        expectations += 1
        if !isKept { failures += 1 }
        print("   \(isKept ? "✓" : "✗ FAILED:") \(promise)")
    }

    func finish() {
        print(
            failures == 0
                ? "\nAll \(expectations) checks passed."
                : "\n\(failures) of \(expectations) checks FAILED.")
    }
}
