import FuzzTargets
import Glibc

/// libFuzzer's own main, which calls back with each input.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The target that is fuzzed, by the variable `FUZZ_TARGET`.
private let target: FuzzTarget = {
    guard let name = getenv("FUZZ_TARGET"), let target = FuzzTarget(rawValue: String(cString: name)) else {
        fatalError("FUZZ_TARGET is none of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ length: Int) -> CInt {
    target.run(Array(UnsafeBufferPointer(start: bytes, count: length)))
    return 0
}

/// What the package manager calls the main function of this executable.
@_cdecl("fuzz_main")
func fuzzMain(_ count: CInt, _ values: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> CInt {
    var (count, values) = (count, values)
    return runFuzzer(&count, &values, testOneInput)
}
