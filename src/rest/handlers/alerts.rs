//! The handler of `/api/v1/alerts/`.

use axum::{
    Extension,
    body::Bytes,
    extract::{RawQuery, State},
    http::StatusCode,
};

use super::{ApiCall, HandlerResult, paginated, text};
use crate::rest::{
    alert_groups::{AlertFilter, StoredAlertGroup},
    auth::Caller,
    error::ApiError,
    pages::{Page, QueryParams},
    request_url::RequestUrl,
    schema::{AlertFilterParams, AlertPage, Detail, PageParams},
    state::ApiState,
};

/// List alerts
///
/// The first and the last of each alert group, newest first: others are not stored.
#[utoipa::path(
    get, path = "/api/v1/alerts/", tag = "alerts", params(AlertFilterParams, PageParams),
    responses(
        (status = 200, description = "One page.", body = AlertPage),
        (status = 400, description = "`search` without `alert_group_id`.", body = Detail)
    )
)]
pub(crate) async fn list_alerts(call: ApiCall, url: RequestUrl, RawQuery(query): RawQuery) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let query = QueryParams::new(query.as_deref().unwrap_or_default());
    let filter = AlertFilter::read(&query);
    if let Some(id) = &filter.alert_group_id {
        match api.alert_groups.current(&caller.namespace, id).await {
            Err(error) if error.status != StatusCode::NOT_FOUND => return Err(error),
            _ => {}
        }
    }
    match (&filter.search, &filter.alert_group_id) {
        (Some(search), Some(_)) => found(&api, &caller, &filter, search, &query, &url).await,
        (Some(_), None) => {
            let detail = "search needs alert_group_id too: only the alerts of one alert group can be searched.";
            Err(ApiError::new(StatusCode::BAD_REQUEST, detail))
        }
        (None, _) => {
            let page = |count| Page::new(&query, count);
            let (count, listed) = api.alert_groups.alerts(&caller.namespace, &filter, |count| page(count).range());
            let wanted = listed.iter().map(|(group, alert)| group.wanting(&**alert)).collect();
            let text = |group: &StoredAlertGroup, alert: &&str| shown(group, alert, "");
            let shown = api.alert_groups.shown.page(&caller.namespace, wanted, text).await?;
            paginated(&page(count), &query, &url, shown.texts, shown.permit)
        }
    }
}

/// Answers with the alerts of one alert group whose payloads contain `search`: they are few.
async fn found(
    api: &ApiState,
    caller: &Caller,
    filter: &AlertFilter,
    search: &str,
    query: &QueryParams,
    url: &RequestUrl,
) -> HandlerResult {
    let (_, listed) = api.alert_groups.alerts(&caller.namespace, filter, |count| 0..count);
    let wanted = listed.iter().map(|(group, alert)| group.wanting(&**alert)).collect();
    let text = |group: &StoredAlertGroup, alert: &&str| shown(group, alert, search);
    let shown = api.alert_groups.shown.page(&caller.namespace, wanted, text).await?;
    let page = Page::new(query, shown.texts.len());
    let texts: Vec<Bytes> = shown.texts.into_iter().skip(page.range().start).take(page.range().len()).collect();
    paginated(&page, query, url, texts, shown.permit)
}

/// The text of an alert, if it is stored still and contains `search`.
fn shown(group: &StoredAlertGroup, alert: &str, search: &str) -> Result<Option<Bytes>, ApiError> {
    group.alert(alert).filter(|alert| search.is_empty() || alert.contains(search)).map(|alert| text(&alert)).transpose()
}
