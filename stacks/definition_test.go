package stacks

import (
	"strings"
	"testing"

	"stocktrading/stacks/config"
)

// In another partition the definition names that partition's integrations, and is the same otherwise.
func TestDefinitionInAnotherPartition(t *testing.T) {
	usual := config.Default()
	china := usual
	china.Partition = "aws-cn"
	got := renderDefinition(china)
	if strings.Contains(got, "arn:aws:") || strings.Count(got, "arn:aws-cn:states:::") != 3 {
		t.Errorf("the definition of aws-cn is\n%s", got)
	}
	if back := strings.ReplaceAll(got, "arn:aws-cn:", "arn:aws:"); back != renderDefinition(usual) {
		t.Errorf("the definition of aws-cn differs in more than its partition:\n%s", got)
	}
}
