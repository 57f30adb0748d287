package alpaca

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/aws/smithy-go"
)

func TestSecretIsReadOnce(t *testing.T) {
	reads := 0
	s := secretOf(func() (string, error) {
		reads++
		if reads == 1 {
			return "", errors.New("not yet")
		}
		return `{"APCA_API_KEY_ID":"id","APCA_API_SECRET_KEY":"key"}`, nil
	})
	_, err := s.get(t.Context())
	checkError(t, err, unavailableError, "the secret "+secretARN+" could not be read this time")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			k, err := s.get(t.Context())
			if err != nil || k.id.reveal() != "id" || k.secret.reveal() != "key" {
				t.Errorf("got %v, %v", k, err)
			}
		})
	}
	all.Wait()
	if reads != 2 {
		t.Errorf("read %d times, want twice: once in vain", reads)
	}
}

func TestSecretRefused(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: arn is not authorized"}
	for _, test := range []struct {
		name, text string
		err        error
		want       error
		wantText   string
	}{
		{"denied", "", denied, refusedError, "the secret " + secretARN + " can't be read: AccessDeniedException: User: arn is not authorized; nothing was traded"},
		{"gone", "", &smithy.GenericAPIError{Code: "ResourceNotFoundException"}, refusedError, "ResourceNotFoundException"},
		{"throttled", "", &smithy.GenericAPIError{Code: "ThrottlingException"}, unavailableError, "could not be read this time"},
		{"a fault", "", &smithy.GenericAPIError{Code: "InternalServiceError", Fault: smithy.FaultServer}, unavailableError, "could not be read this time"},
		{"no JSON", "PRIVATE", nil, refusedError, `want the JSON {"APCA_API_KEY_ID": "...", "APCA_API_SECRET_KEY": "..."}`},
		{"nothing", "", nil, refusedError, "is not what it should be"},
		{"other fields", `{"key":"PRIVATE"}`, nil, refusedError, "is not what it should be"},
		{"a field of another type", `{"APCA_API_KEY_ID":"PRIVATE","APCA_API_SECRET_KEY":["PRIVATE"]}`, nil, refusedError, "is not what it should be"},
		{"half a pair", `{"APCA_API_KEY_ID":"PRIVATE"}`, nil, refusedError, "is not what it should be"},
		{"the other half", `{"APCA_API_SECRET_KEY":"PRIVATE"}`, nil, refusedError, "is not what it should be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := secretOf(func() (string, error) { return test.text, test.err }).get(t.Context())
			checkError(t, err, test.want, test.wantText)
			if strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	broken := &Secret{ARN: "x", Reader: func() (SecretReader, error) { return nil, errors.New("no region") }}
	_, err := broken.get(t.Context())
	checkError(t, err, refusedError, "the secret x can't be read: no region")
}

// However somebody prints them, the keys don't show.
func TestKeysDoNotShow(t *testing.T) {
	const private = "PRIVATE"
	k := keys{hide(private), hide(private)}
	s := holding(private, private)
	if _, err := s.get(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := New(Config{Secret: s})
	var shown bytes.Buffer
	for _, value := range []any{k, &k, k.id, &k.id, []any{k}, map[string]hidden{"id": k.id}, s, m, m.secret, struct{ K keys }{k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			fmt.Fprintf(&shown, verb+"\n", value)
		}
		text, err := json.Marshal(value)
		fmt.Fprintln(&shown, string(text), err)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "value", value)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "value", value)
	}
	fmt.Fprintln(&shown, k.id.String(), k.id.GoString(), k.id.LogValue())
	for _, form := range []string{private, fmt.Sprintf("%x", private), fmt.Sprintf("%X", private), fmt.Sprint([]byte(private))} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("the keys show as %q in\n%s", form, &shown)
		}
	}
	if !strings.Contains(shown.String(), mask) {
		t.Errorf("nothing shows that something is hidden:\n%s", &shown)
	}
}
