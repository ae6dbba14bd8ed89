/// A command and how it is put this time.
struct RedisRequest {
    var command: RedisCommand
    /// The script goes along whole: the server has said that it does not know it.
    var withSource = false
    /// For a node that is just taking the key's slot over (`ASK`).
    var isAsking = false

    init(_ command: RedisCommand) {
        self.command = command
    }
}
