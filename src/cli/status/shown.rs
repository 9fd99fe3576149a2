//! The tables.

use anstyle::Style;
use jiff::Timestamp;

use super::{
    overview::{AlertGroupLine, Attention, IntegrationLine, LastRunLine, Overview, WebhookLine},
    state::State,
};
use crate::cli::{
    table::{BAD, Cell, DOUBTFUL, FAINT, GOOD, HEADING, Table, shortened},
    times::age,
};

/// How many lines of alert groups are shown; all, in a wide table.
const MOST: usize = 20;
/// Bound on a title or a message, in characters; all of it, in a wide table.
const SHORT: usize = 100;

/// What is shown, and how.
pub(super) struct Shown<'a> {
    pub(super) overview: &'a Overview,
    /// The namespace; None for all.
    pub(super) namespace: Option<&'a str>,
    pub(super) wide: bool,
    pub(super) with_heads: bool,
}

impl Shown<'_> {
    pub(super) fn text(&self) -> String {
        let Overview { attention, webhooks, alert_groups, integrations, .. } = self.overview;
        let place = self.namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
        let heading = match attention.len() {
            0 => format!("{GOOD}Nothing needs you in {place}.{GOOD:#}\n"),
            1 => format!("{BAD}1 thing needs you in {place}:{BAD:#}\n"),
            several => format!("{BAD}{several} things need you in {place}:{BAD:#}\n"),
        };
        let heads = ["KIND", "NAME", "STATE", "SINCE", "MESSAGE"];
        let mut text = heading + &self.table(&heads, attention, self.most(), Self::attention);
        let heads = ["NAME", "STATE", "SUCCEEDED", "WAITING", "OLDEST", "LAST RUN", "LAST CODE"];
        let more = ["ID", "TRIGGER", "MESSAGE"];
        let heads: Vec<&str> = heads.into_iter().chain(more.into_iter().filter(|_| self.wide)).collect();
        text += &section("Webhooks", webhooks.len(), &self.table(&heads, webhooks, usize::MAX, Self::webhook));
        let heads = ["NAME", "STATE", "TITLE", "INTEGRATION", "ALERTS", "BY", "AGE"];
        let groups = self.table(&heads, alert_groups, self.most(), Self::alert_group);
        text += &section("Open alert groups", alert_groups.len(), &groups);
        let heads = ["NAME", "STATE", "TYPE", "OPEN", "LAST ALERT"];
        let heads: Vec<&str> = heads.into_iter().chain(self.wide.then_some("MESSAGE")).collect();
        text + &section(
            "Integrations",
            integrations.len(),
            &self.table(&heads, integrations, usize::MAX, Self::integration),
        )
    }

    fn most(&self) -> usize {
        if self.wide { usize::MAX } else { MOST }
    }

    /// The first of the lines, each behind its namespace where there may be several.
    fn table<T>(
        &self,
        heads: &[&'static str],
        lines: &[T],
        most: usize,
        cells: impl Fn(&Self, &T) -> (String, Vec<Cell>),
    ) -> String {
        let all = self.namespace.is_none();
        let heads: Vec<&str> = all.then_some("NAMESPACE").into_iter().chain(heads.iter().copied()).collect();
        let mut table = Table::new(&heads);
        for line in lines.iter().take(most) {
            let (namespace, cells) = cells(self, line);
            table.push(all.then(|| Cell::new(&namespace)).into_iter().chain(cells).collect());
        }
        if table.is_empty() {
            return String::new();
        }
        let mut text = table.take(self.with_heads);
        if lines.len() > most {
            text.push_str(&format!("{FAINT}… and {} more: -o wide shows all{FAINT:#}\n", lines.len() - most));
        }
        text
    }

    fn attention(&self, item: &Attention) -> (String, Vec<Cell>) {
        let object = item.object.as_ref();
        let text = |text: Option<&str>| Cell::new(text.unwrap_or_default());
        let message = if self.wide { item.message.clone() } else { shortened(&item.message, SHORT) };
        let style =
            if ["Suspended", "Unknown", "Backlogged", "Failed"].contains(&&*item.state) { DOUBTFUL } else { BAD };
        let cells = vec![
            text(Some(object.map_or("AlertGroupEvent", |object| object.kind))),
            text(object.map(|object| &*object.name)),
            Cell::styled(&item.state, style),
            self.ago(item.since),
            Cell::new(&message),
        ];
        (object.map(|object| object.namespace.clone()).unwrap_or_default(), cells)
    }

    fn webhook(&self, line: &WebhookLine) -> (String, Vec<Cell>) {
        let run = line.last_run.as_ref();
        let waiting = if line.waiting == 0 { String::new() } else { line.waiting.to_string() };
        let mut cells = vec![
            Cell::new(&line.name),
            state(line.state),
            success(line.succeeded, line.failed),
            Cell::styled(&waiting, DOUBTFUL),
            self.ago(line.oldest_waiting),
            self.ago(run.map(|run| run.time)),
            run.map_or_else(|| Cell::new(""), outcome),
        ];
        if self.wide {
            cells.push(Cell::new(line.id.as_deref().unwrap_or_default()));
            cells.push(Cell::new(&line.trigger_type));
            cells.push(Cell::new(&line.message));
        }
        (line.namespace.clone(), cells)
    }

    fn alert_group(&self, line: &AlertGroupLine) -> (String, Vec<Cell>) {
        let title = if self.wide { line.title.clone() } else { shortened(&line.title, SHORT) };
        let cells = vec![
            Cell::new(&line.name),
            Cell::styled(&line.state, if line.state == "firing" { BAD } else { DOUBTFUL }),
            Cell::new(&title),
            Cell::new(&line.integration),
            Cell::new(&line.alerts.to_string()),
            Cell::new(&line.by),
            self.ago(line.created_at),
        ];
        (line.namespace.clone(), cells)
    }

    fn integration(&self, line: &IntegrationLine) -> (String, Vec<Cell>) {
        let mut cells = vec![
            Cell::new(&line.name),
            state(line.state),
            Cell::new(&line.type_),
            Cell::new(&line.open_alert_groups.to_string()),
            self.ago(line.last_alert_time),
        ];
        if self.wide {
            cells.push(Cell::new(&line.message));
        }
        (line.namespace.clone(), cells)
    }

    fn ago(&self, time: Option<Timestamp>) -> Cell {
        Cell::new(&time.map(|time| age(time, self.overview.time)).unwrap_or_default())
    }
}

/// A part with its heading.
fn section(title: &str, count: usize, table: &str) -> String {
    format!("\n{HEADING}{title}: {count}{HEADING:#}\n{table}")
}

fn state(state: State) -> Cell {
    let style = match state {
        State::Ready => GOOD,
        State::Disabled => FAINT,
        State::Suspended | State::Unknown | State::Backlogged => DOUBTFUL,
        State::Gone | State::NotReady | State::Failing | State::Silent => BAD,
    };
    Cell::styled(state.word(), style)
}

/// How many of the deliveries that have ended succeeded. Not all is never 100 %.
fn success(succeeded: u64, failed: u64) -> Cell {
    let all = succeeded + failed;
    if all == 0 {
        return Cell::new("");
    }
    let percent = succeeded * 100 / all;
    let style = if failed == 0 { Style::new() } else { DOUBTFUL };
    Cell::styled(&format!("{percent}% of {all}"), style)
}

fn outcome(run: &LastRunLine) -> Cell {
    let style = if run.outcome == "Failed" { BAD } else { Style::new() };
    Cell::styled(&run.status_code.map_or_else(|| run.outcome.clone(), |code| code.to_string()), style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::attention::tests::{overview, time};

    fn shown(overview: &Overview, namespace: Option<&str>, wide: bool) -> String {
        let text = Shown { overview, namespace, wide, with_heads: true }.text();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_namespace_is_shown_with_what_needs_a_person_at_the_top() {
        let expected = "\
8 things need you in namespace team:
KIND              NAME      STATE       SINCE   MESSAGE
AlertGroupEvent             Waiting     60s     3 events have no status yet: no operator works here, or more waits than it can send
AlertGroup        c         firing      2m      Disk is full
AlertGroup        b         firing      60s     Disk is full
Integration       test      NotReady            no such Secret
Webhook           broken    NotReady    9m      it is NotReady
Webhook           down      Failing     9m      40 waiting. it is Failing
Webhook           held      Suspended   5m      2 waiting.
Webhook           refused   Failed      5m      The last delivery failed with 400, 5m ago: WebhookResponse refused-1

Webhooks: 7
NAME      STATE       SUCCEEDED   WAITING   OLDEST   LAST RUN   LAST CODE
broken    NotReady    75% of 4                       5m         200
down      Failing     75% of 4    40        8m       5m         400
held      Suspended   75% of 4    2         8m       5m         200
refused   Ready       75% of 4                       5m         400
calm      Suspended   75% of 4                       5m         200
well      Ready       75% of 4                       5m         200
off       Disabled    75% of 4                       5m         200

Open alert groups: 3
NAME   STATE          TITLE          INTEGRATION   ALERTS   BY    AGE
c      firing         Disk is full   prod          2              2m
b      firing         Disk is full   prod          2              60s
a      acknowledged   Disk is full   prod          2        ann   9m

Integrations: 2
NAME   STATE      TYPE           OPEN   LAST ALERT
test   NotReady   alertmanager   2      4m
prod   Ready      alertmanager   2      4m
";
        assert_eq!(shown(&overview(), Some("team"), false), expected);
    }

    #[test]
    fn all_namespaces_have_a_column_and_a_wide_table_more() {
        let text = shown(&overview(), None, true);
        for line in [
            "8 things need you in all namespaces:",
            "team        down      Failing     75% of 4    40        8m       5m         400         WHDOWN      resolve   it is Failing",
            "NAMESPACE   NAME   STATE      TYPE           OPEN   LAST ALERT   MESSAGE",
            "team        test   NotReady   alertmanager   2      4m           no such Secret",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }

    #[test]
    fn nothing_is_said_in_few_words() {
        let nothing = Overview { time: time(1), ..Overview::default() };
        let expected =
            "Nothing needs you in namespace team.\n\nWebhooks: 0\n\nOpen alert groups: 0\n\nIntegrations: 0\n";
        assert_eq!(shown(&nothing, Some("team"), false), expected);
    }

    #[test]
    fn what_did_not_all_succeed_is_never_all() {
        let text = |succeeded, failed| success(succeeded, failed);
        assert_eq!(text(999, 1), Cell::styled("99% of 1000", DOUBTFUL));
        assert_eq!(text(5, 0), Cell::new("100% of 5"));
        assert_eq!(text(0, 0), Cell::new(""));
    }
}
