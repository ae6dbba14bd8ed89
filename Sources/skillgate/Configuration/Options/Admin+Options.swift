import GatewayAdmin
import GatewayCore
import GatewayServer

extension GatewayConfiguration {
    /// Who may come to the admin listener.
    struct AdminConfiguration: Equatable, Sendable {
        var tls: ListenerConfiguration.TLS?
        var operators: [AdminAccess.Operator] = []
        /// Nil: by the address.
        var openTo: AdminAccess.OpenTo?
    }

    /// What anybody gets at the admin listener; nil: nothing. The address counts that it listens on: behind a mesh or a tunnel everybody comes from
    /// loopback.
    var adminOpenTo: AdminAccess.OpenTo? {
        adminAccess.openTo ?? (APIEndpoint.isLoopback(host: admin.host) ? .everything : nil)
    }

    static var adminOption: ConfigurationOption<Self> {
        .section(
            "admin",
            [
                .value(
                    "address", \.admin, .address,
                    "the status page at `/`, the same as JSON at `/api/status`; `/metrics`, `/livez`, `/readyz`, `/version`. On another address than loopback it needs `openTo: metrics`, or `operators` and `tls`"
                ),
                .optional(
                    "openTo", \.adminAccess.openTo, .choice,
                    "what anybody gets who reaches it: `metrics` is `/metrics`, `/livez`, `/readyz` and `/version`. `everything` is possible on loopback addresses only",
                    otherwise: "`everything` on loopback addresses, nothing on others", example: "metrics"),
                .optionalSection(
                    "tls", \.adminAccess.tls,
                    new: ListenerConfiguration.TLS(certificateChainFile: "", privateKeyFile: ""),
                    certificateOptions, check: { section, tls, _ in check(section, &tls) }),
                .list(
                    "operators", \.adminAccess.operators, new: AdminAccess.Operator(name: "", keys: []),
                    isExampleShown: false,
                    reloads: true, operatorOptions
                ) { section, someone, others in
                    if others.adminAccess.operators.contains(where: { $0.name == someone.name }) {
                        section.report("the name `\(someone.name)` is taken", at: "name")
                    }
                    if someone.keys.isEmpty { section.report("`keys` is missing or empty; expected a list of secrets") }
                },
                .file(
                    "socket", \.adminSocket, "a Unix socket",
                    "for `skillgate admin`, which drains, pauses and resumes, and sets the log level: whoever can open it may do so (mode 0600)",
                    example: "/run/skillgate/admin.sock", check: reasonNoSocket),
            ])
    }

    private static var operatorOptions: [ConfigurationOption<AdminAccess.Operator>] {
        [
            .required(
                "name", \.name, .name, "for the audit log, and the user name that a browser asks for", example: "anna"),
            apiKeys(
                "keys", \.keys,
                "see and change everything: `Authorization: Bearer KEY`, or the password in a browser; several for rotation, each as `callers[].apiKeys`",
                example: "[{file: secrets/anna}]"),
        ]
    }

    /// Behind all options, since the address and the operators decide together.
    func checkAdmin(_ root: ConfigurationSection) {
        let mark = root.mark(of: "admin")
        var keys = Set(callers.flatMap(\.keys))
        for someone in adminAccess.operators {
            if !keys.isDisjoint(with: someone.keys) {
                root.reader.report(
                    "a key of operator `\(someone.name)` is that of another operator or a caller, too; expected a key of its own",
                    at: mark)
            }
            keys.formUnion(someone.keys)
        }
        guard !APIEndpoint.isLoopback(host: admin.host) else { return }
        if adminAccess.openTo == .everything {
            root.reader.report(
                "`admin.openTo: everything` on \(admin.host), which others can reach; expected `metrics`, or `operators` and `tls`",
                at: mark)
        } else if adminAccess.openTo == nil && adminAccess.operators.isEmpty {
            root.reader.report(
                "`admin.address` is \(admin.host), which others can reach; expected a loopback address, `openTo: metrics`, or `operators` and `tls`",
                at: mark)
        }
        if !adminAccess.operators.isEmpty && adminAccess.tls == nil {
            root.reader.report(
                "`admin.operators` without `admin.tls` on \(admin.host): their keys would be sent in clear", at: mark)
        }
    }
}
