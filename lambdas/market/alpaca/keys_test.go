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

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
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
	if _, denied := s.get(t.Context()); denied == nil || denied.permanent || denied.text != "the secret "+secretARN+" could not be read this time" {
		t.Errorf("got %v", denied)
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			k, denied := s.get(t.Context())
			if denied != nil || k.id.reveal() != "id" || k.secret.reveal() != "key" {
				t.Errorf("got %v, %v", k, denied)
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
			_, err := New(Config{Secret: secretOf(func() (string, error) { return test.text, test.err })}).Price(t.Context(), "AMZN")
			checkError(t, err, test.want, test.wantText)
			if strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	_, err := Open(func(string) string { return "" }).Price(t.Context(), "AMZN")
	checkError(t, err, refusedError, "can't be read: parse ARN: ")
}

// A secret is where its ARN says, which need not be where the function is.
func TestSecretsRegion(t *testing.T) {
	for name, value := range map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"} {
		t.Setenv(name, value)
	}
	reader, err := secretsManager(secretARN)
	if err != nil {
		t.Fatal(err)
	}
	if got := reader.(*secretsmanager.Client).Options().Region; got != "eu-west-1" {
		t.Errorf("the secret is read in %s", got)
	}
}

// However somebody prints them, the keys don't show.
func TestKeysDoNotShow(t *testing.T) {
	const private = "PRIVATE"
	k := keys{redact(private), redact(private)}
	s := holding(private, private)
	if _, denied := s.get(t.Context()); denied != nil {
		t.Fatal(denied)
	}
	m := New(Config{Secret: s})
	var shown bytes.Buffer
	for _, value := range []any{k, &k, k.id, &k.id, []any{k}, map[string]redacted{"id": k.id}, s, m, m.secret, struct{ K keys }{k}} {
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
