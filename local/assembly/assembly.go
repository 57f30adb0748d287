// Package assembly reads the cloud assembly, which is what the CDK app synthesizes, and resolves the CloudFormation template
// in it as CloudFormation would.
//
// The local run takes its whole description of the system from here, so that nothing is described twice. It supports what
// the project's own template uses. Anything else is an error that names it and its place, so that nothing passes here that
// means something else on AWS.
package assembly

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Assembly is a cloud assembly of one stack.
type Assembly struct {
	Dir       string
	StackName string
	Template  map[string]any // as synthesized, numbers as json.Number
	Messages  []Message      // in the order of their paths

	paths map[string]string // the construct path of each logical id
}

// Message is an annotation that the app left on a construct.
type Message struct {
	Level string // "info", "warning" or "error"
	Path  string // the construct's path, such as "StockTrading/BuyStockLambda"
	Text  string
}

// The parts of manifest.json that are used; its schema is the package cloud-assembly-schema of the CDK.
type (
	manifest struct {
		Artifacts map[string]artifact `json:"artifacts"`
	}
	artifact struct {
		Type       string `json:"type"`
		Properties struct {
			TemplateFile string `json:"templateFile"`
			StackName    string `json:"stackName"`
		} `json:"properties"`
		Metadata               metadata `json:"metadata"`
		AdditionalMetadataFile string   `json:"additionalMetadataFile"`
	}
	metadata map[string][]metadataEntry
	// A metadataEntry's data has another form for each type.
	metadataEntry struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
)

// Read reads the assembly in dir, which must hold exactly one stack.
func Read(dir string) (*Assembly, error) {
	var m manifest
	if err := readJSON(filepath.Join(dir, "manifest.json"), &m); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read cloud assembly %s: there is no manifest.json, so nothing was synthesized there", dir)
	} else if err != nil {
		return nil, fmt.Errorf("read cloud assembly %s: %w", dir, err)
	}

	var stacks, nested []string
	for id, a := range m.Artifacts {
		switch a.Type {
		case "aws:cloudformation:stack":
			stacks = append(stacks, id)
		case "cdk:cloud-assembly":
			nested = append(nested, id)
		}
	}
	slices.Sort(stacks)
	slices.Sort(nested)
	switch {
	case len(nested) > 0:
		return nil, fmt.Errorf("read cloud assembly %s: nested assemblies (%s) are not supported by the local run", dir, strings.Join(nested, ", "))
	case len(stacks) == 0:
		return nil, fmt.Errorf("read cloud assembly %s: it has no stack", dir)
	case len(stacks) > 1:
		return nil, fmt.Errorf("read cloud assembly %s: it has %d stacks (%s), the local run takes one", dir, len(stacks), strings.Join(stacks, ", "))
	}

	id := stacks[0]
	stack := m.Artifacts[id]
	a := &Assembly{Dir: dir, StackName: stack.Properties.StackName, paths: map[string]string{}}
	if a.StackName == "" {
		a.StackName = id // the manifest leaves the name out where it is the artifact's id
	}
	if stack.Properties.TemplateFile == "" {
		return nil, fmt.Errorf("read cloud assembly %s: stack %s has no template file", dir, id)
	}
	if err := readJSON(filepath.Join(dir, stack.Properties.TemplateFile), &a.Template); err != nil {
		return nil, fmt.Errorf("read template of stack %s: %w", id, err)
	}
	var more metadata
	if stack.AdditionalMetadataFile != "" {
		if err := readJSON(filepath.Join(dir, stack.AdditionalMetadataFile), &more); err != nil {
			return nil, fmt.Errorf("read metadata of stack %s: %w", id, err)
		}
	}
	for _, m := range []metadata{stack.Metadata, more} {
		if err := a.addMetadata(m); err != nil {
			return nil, fmt.Errorf("read metadata of stack %s: %w", id, err)
		}
	}
	slices.SortStableFunc(a.Messages, func(x, y Message) int { return strings.Compare(x.Path, y.Path) })
	return a, nil
}

func (a *Assembly) addMetadata(m metadata) error {
	for path, entries := range m {
		path = strings.TrimPrefix(path, "/")
		for _, e := range entries {
			switch e.Type {
			case "aws:cdk:logicalId":
				var id string
				if err := json.Unmarshal(e.Data, &id); err != nil {
					return fmt.Errorf("logical id of %s: %w", path, err)
				}
				a.paths[id] = path
			case "aws:cdk:info", "aws:cdk:warning", "aws:cdk:error":
				var text string
				if err := json.Unmarshal(e.Data, &text); err != nil {
					return fmt.Errorf("message at %s: %w", path, err)
				}
				a.Messages = append(a.Messages, Message{Level: strings.TrimPrefix(e.Type, "aws:cdk:"), Path: path, Text: text})
			}
		}
	}
	return nil
}

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := decodeJSON(data, v); err != nil {
		return fmt.Errorf("decode %s: %w", filepath.Base(file), err)
	}
	return nil
}
