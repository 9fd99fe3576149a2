// What a program does that uses OnCall's own Go client, as the Terraform provider is one: each step and what the client
// made of the answer is a line of JSON on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	aapi "github.com/grafana/amixr-api-go-client"
)

type step struct {
	Step   string `json:"step"`
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
	Result any    `json:"result,omitempty"`
}

func main() {
	url, token := os.Getenv("ONCALL_API_URL"), os.Getenv("ONCALL_TOKEN")
	client, err := aapi.NewWithGrafanaURL(url, token, "https://grafana.example")
	if err != nil {
		fmt.Fprintln(os.Stderr, "set up the client:", err)
		os.Exit(1)
	}
	run := func() error { return webhooks(client.Webhooks) }
	if id := os.Getenv("ONCALL_ALERT_GROUP"); id != "" {
		run = func() error { return alerts(client, id) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func webhooks(webhooks *aapi.WebhookService) error {
	password, data := "s3cret-of-go", "{\"text\": \"{{ alert_group.title }}\"}\n"
	wanted := aapi.CreateWebhookOptions{
		Name:             "Made by Go",
		Url:              "https://example.com",
		TriggerType:      "resolve",
		HttpMethod:       "POST",
		Data:             &data,
		Password:         &password,
		ForwardAll:       false,
		IsWebhookEnabled: true,
	}
	created, response, err := webhooks.CreateWebhook(&wanted)
	if err := say("create", response, err, created); err != nil {
		return err
	}
	if created == nil {
		return fmt.Errorf("nothing to go on with")
	}
	same, response, err := webhooks.CreateWebhook(&wanted)
	if err := say("create again", response, err, same); err != nil {
		return err
	}
	list, response, err := webhooks.ListWebhooks(&aapi.ListWebhookOptions{Name: wanted.Name})
	if err := say("list by name", response, err, list); err != nil {
		return err
	}
	list, response, err = webhooks.ListWebhooks(&aapi.ListWebhookOptions{
		ListOptions: aapi.ListOptions{Page: 1}, Name: "Nobody made this",
	})
	if err := say("list another name", response, err, list); err != nil {
		return err
	}
	got, response, err := webhooks.GetWebhook(created.ID, &aapi.GetWebhookOptions{})
	if err := say("get", response, err, got); err != nil {
		return err
	}
	changed := aapi.UpdateWebhookOptions(wanted)
	changed.Name, changed.HttpMethod, changed.Password = "Changed by Go", "PUT", nil
	updated, response, err := webhooks.UpdateWebhook(created.ID, &changed)
	if err := say("update", response, err, updated); err != nil {
		return err
	}
	response, err = webhooks.DeleteWebhook(created.ID, &aapi.DeleteWebhookOptions{})
	if err := say[any]("delete", response, err, nil); err != nil {
		return err
	}
	gone, response, err := webhooks.GetWebhook(created.ID, &aapi.GetWebhookOptions{})
	return say("get deleted", response, err, gone)
}

// alerts reads alert groups and integrations: the client changes none.
func alerts(client *aapi.Client, id string) error {
	group, response, err := client.AlertGroups.GetAlertGroup(id)
	if err := say("get", response, err, group); err != nil {
		return err
	}
	lists := []struct {
		name    string
		options aapi.ListAlertGroupOptions
	}{
		{"list all", aapi.ListAlertGroupOptions{}},
		{"list by id and state", aapi.ListAlertGroupOptions{AlertGroupID: id, State: "new"}},
		{"list by time", aapi.ListAlertGroupOptions{StartedAt: "2020-01-01T00:00:00_2020-01-02T00:00:00"}},
		{"list by labels", aapi.ListAlertGroupOptions{Labels: []string{"env:prod", "severity:high"}}},
		{"list by another label", aapi.ListAlertGroupOptions{Labels: []string{"env:dev"}}},
		{"list an unknown state", aapi.ListAlertGroupOptions{State: "firing"}},
	}
	for _, list := range lists {
		groups, response, err := client.AlertGroups.ListAlertGroups(&list.options)
		if err := say(list.name, response, err, groups); err != nil {
			return err
		}
	}
	for _, search := range []string{"", "DISK", "nothing"} {
		alerts, response, err := client.Alerts.ListAlerts(&aapi.ListAlertOptions{AlertGroupID: id, Name: search})
		if err := say("list alerts with "+search, response, err, alerts); err != nil {
			return err
		}
	}
	integrations, response, err := client.Integrations.ListIntegrations(&aapi.ListIntegrationOptions{Name: "Production"})
	if err := say("list integrations", response, err, integrations); err != nil {
		return err
	}
	if integrations == nil || len(integrations.Integrations) != 1 {
		return fmt.Errorf("nothing to go on with")
	}
	integration, response, err := client.Integrations.GetIntegration(
		integrations.Integrations[0].ID, &aapi.GetIntegrationOptions{})
	return say("get integration", response, err, integration)
}

func say[T any](name string, response *http.Response, err error, result *T) error {
	line := step{Step: name}
	if response != nil {
		line.Status = response.StatusCode
	}
	if err != nil {
		line.Error = err.Error()
	} else if result != nil {
		line.Result = result
	}
	return json.NewEncoder(os.Stdout).Encode(line)
}
