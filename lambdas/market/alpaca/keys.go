package alpaca

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// The fields of the secret, which Alpaca's SDKs know as environment variables.
const (
	KeyIDField     = "APCA_API_KEY_ID"
	SecretKeyField = "APCA_API_SECRET_KEY"
)

// hidden is a text that shows itself to nobody who doesn't ask for it by name: neither to
// a log nor to an error nor to an encoder, and not by reflection either.
type hidden struct{ reveal func() string }

func hide(text string) hidden { return hidden{func() string { return text }} }

const mask = "[hidden]"

func (hidden) String() string               { return mask }
func (hidden) GoString() string             { return mask }
func (hidden) Format(f fmt.State, _ rune)   { io.WriteString(f, mask) }
func (hidden) LogValue() slog.Value         { return slog.StringValue(mask) }
func (hidden) MarshalText() ([]byte, error) { return []byte(mask), nil }
func (hidden) MarshalJSON() ([]byte, error) { return json.Marshal(mask) }

// keys are what Alpaca knows a person by.
type keys struct{ id, secret hidden }

// SecretReader reads a secret: *secretsmanager.Client does.
type SecretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Secret is where the keys are. It is read when they are needed first, and then never
// again by this process; what fails is tried again.
type Secret struct {
	ARN    string
	Reader func() (SecretReader, error)

	mu   sync.Mutex
	keys *keys
}

// get returns the keys. Its error is of a type that the state machine knows, and quotes
// nothing of what the secret holds.
func (s *Secret) get(ctx context.Context) (keys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		k, err := s.read(ctx)
		if err != nil {
			return keys{}, err
		}
		s.keys = &k
	}
	return *s.keys, nil
}

func (s *Secret) read(ctx context.Context) (keys, error) {
	reader, err := s.Reader()
	if err != nil {
		return keys{}, refused("the secret %s can't be read: %v", s.ARN, err)
	}
	out, err := reader.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(s.ARN)})
	var api smithy.APIError
	switch {
	case err == nil:
	case errors.As(err, &api) && lasting[api.ErrorCode()]:
		return keys{}, refused("the secret %s can't be read: %s: %s", s.ARN, api.ErrorCode(), api.ErrorMessage())
	default:
		return keys{}, unavailable("the secret %s could not be read this time", s.ARN)
	}
	var fields struct {
		ID     string `json:"APCA_API_KEY_ID"`
		Secret string `json:"APCA_API_SECRET_KEY"`
	}
	// What the decoder says may quote the secret.
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &fields) != nil || fields.ID == "" || fields.Secret == "" {
		return keys{}, refused(`the secret %s is not what it should be: want the JSON {"%s": "...", "%s": "..."}`, s.ARN, KeyIDField, SecretKeyField)
	}
	return keys{id: hide(fields.ID), secret: hide(fields.Secret)}, nil
}

// lasting are the errors of Secrets Manager that no later attempt would mend.
var lasting = map[string]bool{
	"AccessDeniedException":     true,
	"DecryptionFailure":         true,
	"InvalidParameterException": true,
	"InvalidRequestException":   true,
	"ResourceNotFoundException": true,
}
