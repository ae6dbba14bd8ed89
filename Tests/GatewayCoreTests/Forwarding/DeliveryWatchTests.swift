import NIOCore
import Testing

@testable import GatewayCore

@Suite struct DeliveryWatchTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func scope(_ number: Int) -> IdempotencyScope { IdempotencyScope(words: (UInt64(number), 0, 0, 0)) }

    @Test func `a message is due when it can be delivered no longer, and not before`() {
        var watch = DeliveryWatch()
        watch.accepted(scope(1), .message(1), skill: 3, expiry: .seconds(60), now: start)
        watch.accepted(scope(2), .message(2), skill: 3, expiry: .seconds(3600), now: start)
        let earliest = start + .seconds(60) + DeliveryWatch.grace
        #expect(watch.takeDue(now: earliest - .nanoseconds(1)).isEmpty)
        #expect(watch.pending == [3: 2])
        let due = watch.takeDue(now: earliest + DeliveryWatch.step)
        #expect(due == [.init(scope: scope(1), binding: .message(1), skill: 3, weight: 1)])
        #expect(watch.pending == [3: 1] && !watch.isEmpty)
        #expect(watch.takeDue(now: start + .hours(2)).count == 1 && watch.isEmpty)
    }

    @Test func `of too many, some stand for the others`() {
        var watch = DeliveryWatch(limit: 1_000)
        for number in 0..<10_000 {
            watch.accepted(scope(number), .message(0), skill: number % 2, expiry: .seconds(60), now: start)
        }
        let due = watch.takeDue(now: start + .hours(1))
        #expect(due.count <= 1_000 && Set(due.map(\.scope)).count == due.count)
        for skill in 0...1 {
            let all = due.filter { $0.skill == skill }.reduce(0) { $0 + $1.weight }
            #expect((3_500...6_500).contains(all), "\(all) of skill \(skill)")
        }
        // Back to each one, once there are few.
        for _ in 0..<20 { _ = watch.takeDue(now: start + .hours(1)) }
        #expect(watch.sampling == 1)
    }
}
