/// How it is known where the user lives.
enum RegionCertainty: String {
    /// The request says so.
    case stated
    /// From earlier messages, or from a `UserRegionUpdate`.
    case learned
    /// The skill's default, or the first region that the caller may use.
    case guessed
}
