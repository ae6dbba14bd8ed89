import Hummingbird
import NIOCore

/// What the simulator shows to people: `/_simulator`.
enum SimulatorPage {
    static func add(to router: Router<SimulatorContext>) {
        add("/_simulator", "text/html; charset=utf-8", PackageResources.simulator_html, to: router)
        add("/_simulator/page.css", "text/css; charset=utf-8", PackageResources.simulator_css, to: router)
        add("/_simulator/page.js", "text/javascript; charset=utf-8", PackageResources.simulator_js, to: router)
    }

    private static func add(
        _ path: RouterPath, _ contentType: String, _ content: [UInt8], to router: Router<SimulatorContext>
    ) {
        router.get(path) { _, _ in
            Response(
                status: .ok,
                headers: [
                    .contentType: contentType,
                    .contentSecurityPolicy:
                        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:",
                ],
                body: .init(byteBuffer: ByteBuffer(bytes: content)))
        }
    }
}
