package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Packages installs the npm packages that package-lock.json names, unless they are there.
func (p Project) Packages(ctx context.Context) error {
	if difference, err := p.packagesDiffer(); err != nil {
		return fmt.Errorf("look at the npm packages: %w", err)
	} else if difference == "" {
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return missingTool("install the npm packages: there is no npm on the PATH; %s, which brings npm", nodeAdvice)
	}
	s := p.Progress.Step("Installing the npm packages", "once for each package-lock.json")
	err = p.installPackages(ctx, npm, s)
	s.Done(err)
	if err != nil {
		return fmt.Errorf("install the npm packages: %w", err)
	}
	return nil
}

func (p Project) installPackages(ctx context.Context, npm string, s *Step) error {
	unlock, err := p.lock(ctx, "npm.lock", "another installation", s)
	if err != nil {
		return err
	}
	defer unlock()
	if difference, err := p.packagesDiffer(); err != nil || difference == "" {
		return err // somebody else has installed them in the meantime
	}

	// npm writes its record of what is installed at the end. The old one must not survive an installation that is
	// interrupted: it would list packages that are no longer there.
	if err := os.Remove(p.installedFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// All of them are devDependencies, which a setting of the user or NODE_ENV=production would leave out.
	cmd := command{path: npm, args: []string{"ci", "--include=dev", "--no-audit", "--no-fund"}, dir: p.Root}
	stdout, stderr, err := cmd.run(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s\n%s", err, lastLines(stdout+stderr, 12), npmAdvice(stderr))
	}
	if difference, err := p.packagesDiffer(); err != nil {
		return err
	} else if difference != "" {
		return fmt.Errorf("npm ci has ended without an error, but %s", difference)
	}
	return nil
}

// npmAdvice says what a person can do about a failure of npm.
func npmAdvice(stderr string) string {
	for _, sign := range []string{"ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "EHOSTUNREACH", "ENOTCACHED"} {
		if strings.Contains(stderr, sign) {
			return "The packages are downloaded once, and npm can't reach its registry: check the network, and npm's registry and proxy settings (npm config list), then try again."
		}
	}
	return "Run npm ci in the project's folder to see all that npm says."
}

// A lockfile is a package-lock.json, or the record that npm keeps in the same form of what it has installed.
type lockfile struct {
	Packages map[string]lockedPackage `json:"packages"` // by path, such as "node_modules/ajv"
}

type lockedPackage struct {
	Version   string `json:"version"`
	Integrity string `json:"integrity"`
	Optional  bool   `json:"optional"` // npm leaves it out where it doesn't fit the machine
}

func (p Project) installedFile() string {
	return filepath.Join(p.Root, "node_modules", ".package-lock.json")
}

// packagesDiffer says how node_modules differs from package-lock.json. It is empty if they agree.
func (p Project) packagesDiffer() (difference string, err error) {
	var wanted, installed lockfile
	if err := readJSON(filepath.Join(p.Root, "package-lock.json"), &wanted); err != nil {
		return "", err
	}
	delete(wanted.Packages, "") // the project itself
	if err := readJSON(p.installedFile(), &installed); err != nil {
		return "nothing is installed", nil // a record that can't be read is as good as none
	}
	for _, path := range slices.Sorted(maps.Keys(installed.Packages)) {
		if _, ok := wanted.Packages[path]; !ok {
			return path + " is not in package-lock.json", nil
		}
	}
	for _, path := range slices.Sorted(maps.Keys(wanted.Packages)) {
		want := wanted.Packages[path]
		have, ok := installed.Packages[path]
		switch {
		case !ok && want.Optional:
		case !ok:
			return path + " is not installed", nil
		case have.Version != want.Version || have.Integrity != want.Integrity:
			return fmt.Sprintf("%s is %s in place of %s", path, have.Version, want.Version), nil
		case want.Optional:
		default:
			if _, err := os.Stat(filepath.Join(p.Root, filepath.FromSlash(path), "package.json")); err != nil {
				return path + " is not complete", nil
			}
		}
	}
	return "", nil
}

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %s: %w", file, err)
	}
	return nil
}
