package states

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// HistoryEvent is one event of an execution's history, with AWS's types and fields.
type HistoryEvent struct {
	ID         int64 // from 1
	PreviousID int64
	Timestamp  Time
	Type       string // such as "TaskScheduled"
	Details    Details
}

// Details are those of all types of events; each type has its own choice of fields. Input, Output and Parameters are
// JSON.
type Details struct {
	Name             string `json:"name,omitempty"` // of the state that was entered or exited
	Input            string `json:"input,omitempty"`
	Output           string `json:"output,omitempty"`
	RoleARN          string `json:"roleArn,omitempty"`
	ResourceType     string `json:"resourceType,omitempty"`
	Resource         string `json:"resource,omitempty"`
	Region           string `json:"region,omitempty"`
	Parameters       string `json:"parameters,omitempty"`
	TimeoutInSeconds int64  `json:"timeoutInSeconds,omitempty"`
	Error            string `json:"error,omitempty"`
	Cause            string `json:"cause,omitempty"`
}

type truncation struct {
	Truncated bool `json:"truncated"`
}

// MarshalJSON writes the event as AWS does, with the details under a key of the event's type.
func (e HistoryEvent) MarshalJSON() ([]byte, error) {
	event := map[string]any{
		"id":              e.ID,
		"previousEventId": e.PreviousID,
		"timestamp":       e.Timestamp,
		"type":            e.Type,
	}
	details := struct {
		Details
		InputDetails  *truncation `json:"inputDetails,omitempty"`
		OutputDetails *truncation `json:"outputDetails,omitempty"`
	}{Details: e.Details}
	if e.Details.Input != "" {
		details.InputDetails = &truncation{}
	}
	if e.Details.Output != "" {
		details.OutputDetails = &truncation{}
	}
	switch {
	case e.Type == "LambdaFunctionStarted": // the only one without details
	case strings.HasSuffix(e.Type, "StateEntered"):
		event["stateEnteredEventDetails"] = details
	case strings.HasSuffix(e.Type, "StateExited"):
		event["stateExitedEventDetails"] = details
	default:
		event[strings.ToLower(e.Type[:1])+e.Type[1:]+"EventDetails"] = details
	}
	return json.Marshal(event)
}

// withoutData returns the event as GetExecutionHistory gives it when the caller wants no execution data.
func (e HistoryEvent) withoutData() HistoryEvent {
	e.Details.Input, e.Details.Output, e.Details.Parameters = "", "", ""
	return e
}

// Time is a time in milliseconds, which AWS's JSON has as seconds since 1970.
type Time struct{ time.Time }

// MarshalJSON writes seconds with three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', 3, 64), nil
}

func now() Time { return Time{time.Now().Truncate(time.Millisecond)} }

func milliseconds(n int64) Time { return Time{time.UnixMilli(n)} }
