/// The issuers of callers' JSON Web Tokens.
extension MetricsSnapshot {
    package struct Issuer: Sendable {
        package var name: String
        package var statistics: IssuerStatistics
        /// Unix time; nil where keys are not fetched, or never were.
        package var fetchedAt: Double?

        package init(name: String, statistics: IssuerStatistics, fetchedAt: Double?) {
            self.name = name
            self.statistics = statistics
            self.fetchedAt = fetchedAt
        }
    }

    func renderIssuers(to page: inout MetricsPage) {
        page.family(.issuerKeys)
        for issuer in issuers { page.sample(.issuerKeys, [("issuer", issuer.name)], issuer.statistics.keys) }
        page.family(.issuerKeyFetches)
        for issuer in issuers {
            let counts = [("success", issuer.statistics.succeeded), ("failure", issuer.statistics.failed)]
            for (result, count) in counts {
                page.sample(.issuerKeyFetches, [("issuer", issuer.name), ("result", result)], count)
            }
        }
        page.family(.issuerKeysFetched)
        for issuer in issuers {
            if let fetchedAt = issuer.fetchedAt {
                page.sample(.issuerKeysFetched, [("issuer", issuer.name)], fetchedAt)
            }
        }
    }
}
