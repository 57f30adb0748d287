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
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"stocktrading/lambdas/awsenv"
)

// The fields of the secret, which Alpaca's SDKs know as environment variables.
const (
	KeyIDField     = "APCA_API_KEY_ID"
	SecretKeyField = "APCA_API_SECRET_KEY"
)

// redacted is a text that only reveal shows: no log, error or encoder does, and reflection
// does not either.
type redacted struct{ reveal func() string }

func redact(text string) redacted { return redacted{func() string { return text }} }

const mask = "[hidden]"

func (redacted) String() string               { return mask }
func (redacted) GoString() string             { return mask }
func (redacted) Format(f fmt.State, _ rune)   { io.WriteString(f, mask) }
func (redacted) LogValue() slog.Value         { return slog.StringValue(mask) }
func (redacted) MarshalText() ([]byte, error) { return []byte(mask), nil }
func (redacted) MarshalJSON() ([]byte, error) { return json.Marshal(mask) }

// keys are what Alpaca knows a person by.
type keys struct{ id, secret redacted }

// SecretReader reads a secret: *secretsmanager.Client does.
type SecretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// secretsManager reads the secret of an ARN, whose region need not be the function's.
func secretsManager(secret string) (SecretReader, error) {
	name, err := arn.Parse(secret)
	if err != nil {
		return nil, fmt.Errorf("parse ARN: %w", err)
	}
	cfg, err := awsenv.Load()
	if err != nil {
		return nil, err
	}
	cfg.Region = name.Region
	return secretsmanager.NewFromConfig(cfg), nil
}

// Secret is where the keys are. A process reads it once, when the keys are first needed;
// if that fails, it tries again the next time.
type Secret struct {
	ARN    string
	Reader func(arn string) (SecretReader, error)

	mu   sync.Mutex
	keys *keys
}

// get returns the keys. A failure quotes nothing of the secret.
func (s *Secret) get(ctx context.Context) (keys, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		k, denied := s.read(ctx)
		if denied != nil {
			return keys{}, denied
		}
		s.keys = &k
	}
	return *s.keys, nil
}

func (s *Secret) read(ctx context.Context) (keys, *failure) {
	permanent := func(format string, args ...any) *failure {
		return &failure{text: "the secret " + s.ARN + " " + fmt.Sprintf(format, args...), permanent: true}
	}
	reader, err := s.Reader(s.ARN)
	if err != nil {
		return keys{}, permanent("can't be read: %v", err)
	}
	out, err := reader.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(s.ARN)})
	var api smithy.APIError
	switch {
	case err == nil:
	case errors.As(err, &api) && permanentErrors[api.ErrorCode()]:
		return keys{}, permanent("can't be read: %s: %s", api.ErrorCode(), api.ErrorMessage())
	default:
		return keys{}, &failure{text: "the secret " + s.ARN + " could not be read this time"}
	}
	var fields struct {
		ID     string `json:"APCA_API_KEY_ID"`
		Secret string `json:"APCA_API_SECRET_KEY"`
	}
	// The decoder's error may quote the secret.
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &fields) != nil || fields.ID == "" || fields.Secret == "" {
		return keys{}, permanent(`is not what it should be: want the JSON {"%s": "...", "%s": "..."}`, KeyIDField, SecretKeyField)
	}
	return keys{id: redact(fields.ID), secret: redact(fields.Secret)}, nil
}

// permanentErrors are those of Secrets Manager that retrying cannot fix.
var permanentErrors = map[string]bool{
	"AccessDeniedException":     true,
	"DecryptionFailure":         true,
	"InvalidParameterException": true,
	"InvalidRequestException":   true,
	"ResourceNotFoundException": true,
}
