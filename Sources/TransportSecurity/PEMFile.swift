import FoundationEssentials
import Glibc
package import NIOSSL
import SwiftASN1

/// Certificates and private keys from PEM files. What is wrong with a file is said in words.
package enum PEMFile {
    package struct LoadingError: Error, CustomStringConvertible {
        package let description: String
    }

    /// All certificates of a file, of which there is at least one.
    package static func certificates(_ path: String) throws(LoadingError) -> [NIOSSLCertificate] {
        try checkIsReadable(path)
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(path), !certificates.isEmpty else {
            throw LoadingError(description: "\(path) contains no readable certificate; expected PEM")
        }
        return certificates
    }

    /// The bytes of all parts of a file of this kind, of which there is at least one.
    static func blocks(_ path: String, _ kind: String, limitBytes: Int = 1 << 20) throws(LoadingError) -> [[UInt8]] {
        guard try checkIsReadable(path).st_size <= limitBytes else {
            throw LoadingError(description: "\(path) has more than \(limitBytes) bytes")
        }
        guard let text = try? String(decoding: Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self),
            let documents = try? PEMDocument.parseMultiple(pemString: text)
        else { throw LoadingError(description: "\(path) cannot be read as PEM") }
        let blocks = documents.filter { $0.discriminator == kind }.map(\.derBytes)
        guard !blocks.isEmpty else {
            throw LoadingError(description: "\(path) contains no `\(kind)`; expected PEM")
        }
        return blocks
    }

    package static func privateKey(_ path: String) throws(LoadingError) -> NIOSSLPrivateKey {
        try checkIsReadable(path)
        guard let key = try? NIOSSLPrivateKey(file: path, format: .pem) else {
            throw LoadingError(
                description:
                    "\(path) contains no readable private key; expected PEM without a passphrase")
        }
        return key
    }

    /// Makes a context of a configuration whose certificate and key are of these files.
    package static func context(
        _ configuration: TLSConfiguration, chain: String?, key: String?
    ) throws(LoadingError) -> NIOSSLContext {
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            guard let chain, let key else {
                throw LoadingError(description: "cannot set up TLS: \(error)")
            }
            throw LoadingError(description: "the private key \(key) does not match the certificate in \(chain)")
        }
    }

    @discardableResult
    private static func checkIsReadable(_ path: String) throws(LoadingError) -> stat {
        var status = stat()
        guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
            throw LoadingError(description: "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        // A FIFO would be waited for until somebody writes to it.
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw LoadingError(description: "cannot read \(path): it is not a regular file")
        }
        return status
    }
}
