local isOn = obj.spec ~= nil and obj.spec.unschedulable == true
local actions = {}
actions["cordon"] = { ["disabled"] = isOn }
actions["uncordon"] = { ["disabled"] = not isOn }
return actions
