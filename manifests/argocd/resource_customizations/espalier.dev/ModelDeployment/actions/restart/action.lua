obj.spec.restartTime = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
