/** Each asks `espalier __complete -- WORDS`, whose last line is ":4", or ":0" where files may be named. */
export const shellScripts: Readonly<Record<'bash' | 'zsh' | 'fish', string>> = {
  bash: `# bash completion for espalier. To load it: source <(espalier completion bash)
_espalier() {
  local line directive=4 candidates=()
  while IFS= read -r line; do
    case $line in
      :[0-9]) directive=\${line#:} ;;
      *) candidates+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(espalier __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=("\${candidates[@]}")
  if [[ $directive == 0 && \${#candidates[@]} == 0 ]]; then
    COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
  fi
}
complete -F _espalier espalier
`,
  zsh: `#compdef espalier
# zsh completion for espalier. To load it: source <(espalier completion zsh)
_espalier() {
  local line directive=4
  local -a candidates
  for line in "\${(@f)$(espalier __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :[0-9] ]]; then
      directive=\${line#:}
    elif [[ -n $line ]]; then
      candidates+=("\${\${line//:/\\\\:}/$'\\t'/:}")
    fi
  done
  if (( \${#candidates} )); then
    _describe -V espalier candidates
  elif [[ $directive == 0 ]]; then
    _files
  fi
}
compdef _espalier espalier
`,
  fish: `# fish completion for espalier. To load it: espalier completion fish | source
function __espalier_complete
  set -l tokens (commandline -opc)
  set -l current (commandline -ct)
  set -l lines (espalier __complete -- $tokens[2..-1] "$current" 2>/dev/null)
  if test (count $lines) -eq 1; and test "$lines[1]" = ":0"
    __fish_complete_path "$current"
  else
    string match -rv '^:[0-9]$' -- $lines
  end
end
complete -c espalier -f -a '(__espalier_complete)'
`,
};
