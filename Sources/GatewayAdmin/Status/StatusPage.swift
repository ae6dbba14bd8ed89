import GatewayCore
import NIOCore

/// The page for people, at the root of the admin listener, and what it is made of. It asks no other host for anything.
enum StatusPage {
    /// What stands at `path`; nil if nothing does.
    static func file(_ path: String) -> Page? {
        switch path {
        case "/": file("text/html; charset=utf-8", PackageResources.status_html)
        case "/status.css": file("text/css; charset=utf-8", PackageResources.status_css)
        case "/status.js": file("text/javascript; charset=utf-8", PackageResources.status_js)
        default: nil
        }
    }

    // A gateway of another version brings another page, so it is not kept unasked.
    private static let fieldLines: StaticString = """
        Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r
        Referrer-Policy: no-referrer\r
        Cache-Control: no-cache\r

        """

    private static func file(_ contentType: String, _ content: [UInt8]) -> Page {
        var page = Page(contentType: contentType, content: ByteBuffer(bytes: content))
        page.fieldLines = fieldLines
        return page
    }
}
