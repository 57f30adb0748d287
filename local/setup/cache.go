package setup

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"
)

// assemblies is a folder that keeps cloud assemblies, each in a folder named by what it was made of. An entry is complete
// as soon as it is there, and never changes.
type assemblies string

// maxAge is how long an unused assembly is kept.
const maxAge = 24 * time.Hour

// openAssemblies returns the project's assemblies, without those unused for maxAge.
func (p Project) openAssemblies() (assemblies, error) {
	build, err := p.buildDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(build, "assemblies")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > maxAge {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return assemblies(dir), nil
}

// assemblyKey names what an assembly is made of: the app, as it was last built, and the environment that it is given.
func assemblyKey(exe string, env []string) (string, error) {
	app, err := os.Stat(exe)
	if err != nil {
		return "", err
	}
	return nameOf(fmt.Appendf(nil, "%q, %d bytes of %d", env, app.Size(), app.ModTime().UnixNano())), nil
}

// nameOf is a name made of a content. A cryptographic hash would take a second to compile before the local run's first
// word.
func nameOf(content []byte) string {
	hash := fnv.New128a()
	hash.Write(content)
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// find returns the folder of an assembly, and marks it as used.
func (a assemblies) find(key string) (dir string, ok bool) {
	dir = filepath.Join(string(a), key)
	return dir, os.Chtimes(dir, time.Time{}, time.Now()) == nil
}

// put moves an assembly in. If another program was faster, the same one is there.
func (a assemblies) put(key, from string) (dir string, err error) {
	dir = filepath.Join(string(a), key)
	if err := os.Rename(from, dir); err != nil {
		if _, ok := a.find(key); !ok {
			return "", fmt.Errorf("keep the cloud assembly: %w", err)
		}
	}
	return dir, nil
}

// validDir returns the folder in which a state machine's engine remembers the definitions that it has found valid. Another
// package-lock.json, and so perhaps another interpreter, has another folder. It is empty if there can be none.
func (p Project) validDir() (string, error) {
	lock, err := os.ReadFile(filepath.Join(p.Root, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("look at the npm packages: %w", err)
	}
	build, err := p.buildDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(build, "valid", nameOf(lock))
	if os.MkdirAll(dir, 0o755) != nil {
		return "", nil
	}
	return dir, nil
}
