//! Paths as the log and answers show them: sources of alerts have their tokens in the path, and send to wrong addresses too.

use crate::core::intake::IntegrationType;

/// Bound on the part of a path that is shown, in characters.
const MAX_PATH: usize = 200;
/// From this length on, in bytes, a part of an address that is none of the REST API's may be a token.
const LIKE_A_TOKEN: usize = 20;
const TOKEN: &str = "{token}";

/// The path with `{token}` in place of what is, or may be, a token.
pub(crate) fn shown_path(path: &str) -> String {
    let is_of_the_api = path.starts_with("/api/v1/") && !path.contains("/integrations/v1/");
    if is_of_the_api {
        return path.chars().take(MAX_PATH).collect();
    }
    let (mut of_integrations, mut names) = (false, 0_u32);
    let shown = path.split('/').map(|part| {
        let is_shown = match (of_integrations, names) {
            (true, 1..) => true,
            (true, 0) => is_word(part),
            (false, _) => part.len() < LIKE_A_TOKEN,
        };
        names = if of_integrations && part == "namespaces" { 2 } else { names.saturating_sub(1) };
        of_integrations |= part.eq_ignore_ascii_case("integrations");
        if is_shown { part } else { TOKEN }
    });
    shown.collect::<Vec<_>>().join("/").chars().take(MAX_PATH).collect()
}

/// Whether it is a part of an address of the intake that stands there for itself.
fn is_word(part: &str) -> bool {
    matches!(part, "" | "v1" | "namespaces" | "heartbeat") || part.parse::<IntegrationType>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_shows_a_token() {
        let long = format!("/api/v1/webhooks/{}/", "W".repeat(300));
        let cases = [
            ("/integrations/v1/alertmanager/s3cret/", "/integrations/v1/alertmanager/{token}/"),
            ("/integrations/v1/webhook/s3cret", "/integrations/v1/webhook/{token}"),
            ("/integrations/v1/webhook/s3cret/heartbeat/", "/integrations/v1/webhook/{token}/heartbeat/"),
            ("/integrations/v1/webhook/s3cret/more/", "/integrations/v1/webhook/{token}/{token}/"),
            ("/integrations/v1/nonsense/s3cret/", "/integrations/v1/{token}/{token}/"),
            ("/integrations/s3cret", "/integrations/{token}"),
            ("/oncall/integrations/v1/webhook/s3cret/", "/oncall/integrations/v1/webhook/{token}/"),
            ("/api/v1/integrations/v1/webhook/s3cret/", "/api/v1/integrations/v1/webhook/{token}/"),
            ("//integrations//v1/webhook/s3cret", "//integrations//v1/webhook/{token}"),
            ("/Integrations/v1/webhook/s3cret", "/Integrations/v1/webhook/{token}"),
            (
                "/integrations/v1/alertmanager/namespaces/team/prometheus/",
                "/integrations/v1/alertmanager/namespaces/team/prometheus/",
            ),
            (
                "/integrations/v1/alertmanager/namespaces/team/prometheus/s3cret",
                "/integrations/v1/alertmanager/namespaces/team/prometheus/{token}",
            ),
            ("/alertmanager/0123456789012345678/", "/alertmanager/0123456789012345678/"),
            ("/alertmanager/01234567890123456789/", "/alertmanager/{token}/"),
            ("/api/v1/integrations/CFRPV98RPR1U8FRPV98RPR1U8/", "/api/v1/integrations/CFRPV98RPR1U8FRPV98RPR1U8/"),
            (&long, &long[..200]),
            ("/", "/"),
            ("*", "*"),
        ];
        for (path, expected) in cases {
            assert_eq!(shown_path(path), expected, "{path}");
        }
    }
}
