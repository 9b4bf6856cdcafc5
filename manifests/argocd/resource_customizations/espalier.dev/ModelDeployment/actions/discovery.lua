local isOn = obj.spec ~= nil and obj.spec.paused == true
local actions = {}
actions["pause"] = { ["disabled"] = isOn }
actions["resume"] = { ["disabled"] = not isOn }
-- Nothing is restarted while it is paused.
actions["restart"] = { ["disabled"] = isOn }
-- There is no rollback: an action sees the object, not its revisions, and with self-heal Git wins: git revert it.
return actions
