package decision

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	s := hide("token")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "s", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "s", s)
	text, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%v %+v %#v %s %q %x %d|%s|%s|%s", s, s, s, s, s, s, s, fmt.Sprint(s), s.String(), text),
		strings.Repeat("[hidden] ", 6)+`[hidden]|[hidden]|[hidden]|{"s":"[hidden]"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if strings.Contains(log.String(), "token") || strings.Count(log.String(), "[hidden]") != 2 {
		t.Errorf("log: %s", log.String())
	}
	if s.reveal() != "token" || secret(nil).reveal() != "" {
		t.Error("reveal does not return the token")
	}
}
