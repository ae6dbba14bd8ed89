import Glibc
import NIOCore

/// The file of a listening Unix socket.
///
/// The socket is bound under a name of its own, gets its mode and owner, and only then the name that clients know: at no
/// moment may anybody connect who should not, and a file that a dead process has left is replaced.
struct UnixSocketFile: Sendable {
    typealias BindingError = UnixSocketAccess.BindingError

    private let path: String
    private let access: UnixSocketAccess
    private let identity: (device: UInt, inode: UInt)?

    /// What to bind instead of `path`.
    static func temporaryPath(for path: String) -> String { "\(path).\(getpid())" }

    /// - Throws: where another process listens at `path`.
    static func checkIsFree(_ path: String) throws(BindingError) {
        let address: SocketAddress
        do {
            address = try SocketAddress(unixDomainSocketPath: path)
        } catch {
            throw BindingError(description: "\(path) is not a valid Unix socket path; expected at most 107 bytes")
        }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let isTaken = address.withSockAddr { pointer, size in connect(descriptor, pointer, socklen_t(size)) == 0 }
        if isTaken { throw BindingError(description: "another process is listening at \(path)") }
        unlink(temporaryPath(for: path))
    }

    /// Gives the bound socket its mode, owner and name.
    init(path: String, access: UnixSocketAccess) throws(BindingError) {
        self.path = path
        self.access = access
        let bound = Self.temporaryPath(for: path)
        do throws(BindingError) {
            try Self.setAccess(access, of: bound)
            var status = stat()
            identity = stat(bound, &status) == 0 ? (UInt(status.st_dev), UInt(status.st_ino)) : nil
            guard rename(bound, path) == 0 else { throw Self.unusable("cannot name \(path)") }
        } catch {
            unlink(bound)
            throw error
        }
    }

    private static func setAccess(_ access: UnixSocketAccess, of path: String) throws(BindingError) {
        guard chmod(path, mode_t(access.mode)) == 0 else { throw unusable("cannot set the mode of \(path)") }
        guard access.owner != nil || access.group != nil else { return }
        let (owner, group) = try access.identifiers()
        guard chown(path, owner ?? uid_t.max, group ?? gid_t.max) == 0 else {
            throw unusable("cannot set the owner of \(path)")
        }
    }

    /// Removes the file, unless it is another process's by now.
    func remove() {
        var status = stat()
        guard let identity, stat(path, &status) == 0, identity == (UInt(status.st_dev), UInt(status.st_ino)) else {
            return
        }
        unlink(path)
    }

    private static func unusable(_ what: String) -> BindingError {
        BindingError(description: "\(what): \(String(cString: strerror(errno)))")
    }
}

extension UnixSocketAccess {
    package struct BindingError: Error, CustomStringConvertible {
        package var description: String
    }

    /// The numbers of owner and group; nil where they stay.
    ///
    /// - Throws: where there is no such user or group.
    package func identifiers() throws(BindingError) -> (owner: UInt32?, group: UInt32?) {
        let ownerID = try owner.map { name throws(BindingError) in
            guard let id = uid_t(name) ?? getpwnam(name)?.pointee.pw_uid else {
                throw BindingError(description: "there is no user `\(name)`")
            }
            return id
        }
        let groupID = try group.map { name throws(BindingError) in
            guard let id = gid_t(name) ?? getgrnam(name)?.pointee.gr_gid else {
                throw BindingError(description: "there is no group `\(name)`")
            }
            return id
        }
        return (ownerID, groupID)
    }
}
