/// A line of the access log or of the audit log, as far as a message's story needs it.
struct LogLine: Decodable, Equatable {
    var time: String
    var id: String?
    var caller: String?
    var skill: String?
    var region: String?
    var traceID: String?
    /// Of an answered message.
    var status: Int?
    var source: String?
    var sends: Int?
    var durationMilliseconds: Double?
    /// Amazon's name for it.
    var requestID: String?
    var problem: String?
    /// The name of the idempotency record.
    var record: String?
    /// What a skill's report was.
    var receipt: String?
    /// Of the audit log.
    var action: String?
    var decision: String?
    var authentication: String?
    var address: String?
    var wouldRefuse: [String]?
    /// So many lines were left out for this one.
    var standsFor: Int?

    /// What other lines may be found by.
    var names: [String] { [id, record, requestID, traceID].compactMap { $0 } }
}
