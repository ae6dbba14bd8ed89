import HTTPTypes
import Hummingbird
import NIOCore

/// The page for people, at the root of the admin listener, and what it is made of. It asks no other host for anything.
enum StatusPage {
    static func add(to router: Router<BasicRequestContext>) {
        add("/", "text/html; charset=utf-8", PackageResources.status_html, to: router)
        add("/status.css", "text/css; charset=utf-8", PackageResources.status_css, to: router)
        add("/status.js", "text/javascript; charset=utf-8", PackageResources.status_js, to: router)
    }

    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        + "form-action 'none'; frame-ancestors 'none'"

    private static func add(
        _ path: RouterPath, _ contentType: String, _ content: [UInt8], to router: Router<BasicRequestContext>
    ) {
        var fields: HTTPFields = [
            .contentType: contentType, .contentSecurityPolicy: policy, .xContentTypeOptions: "nosniff",
            // A gateway of another version brings another page.
            .cacheControl: "no-cache",
        ]
        if let name = HTTPField.Name("Referrer-Policy") { fields[name] = "no-referrer" }
        let answer = fields
        router.get(path) { _, _ in
            Response(status: .ok, headers: answer, body: .init(byteBuffer: ByteBuffer(bytes: content)))
        }
    }
}
